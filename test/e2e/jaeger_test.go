// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// jaeger is a real one, which the test asks through its query API.
type jaeger struct{ address string }

type jaegerTrace struct {
	TraceID string `json:"traceID"`
	Spans   []struct {
		SpanID     string `json:"spanID"`
		Operation  string `json:"operationName"`
		References []struct {
			SpanID string `json:"spanID"`
		} `json:"references"` // its parent
		ProcessID string      `json:"processID"`
		Duration  int64       `json:"duration"` // us
		Tags      []jaegerTag `json:"tags"`
	} `json:"spans"`
	Processes map[string]struct {
		Service string      `json:"serviceName"`
		Tags    []jaegerTag `json:"tags"`
	} `json:"processes"`
}

type jaegerTag struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

func tag(tags []jaegerTag, key string) any {
	for _, t := range tags {
		if t.Key == key {
			return t.Value
		}
	}
	return nil
}

// get reads the data of an answer of Jaeger's.
func (j jaeger) get(t *testing.T, path string, query url.Values, data any) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + j.address + path + "?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s?%s: %s", path, query.Encode(), answer.Status)
	}
	if err := json.NewDecoder(answer.Body).Decode(&struct{ Data any }{data}); err != nil {
		t.Fatal(err)
	}
}

// find returns the traces of a service's operation whose spans have all the
// tags.
func (j jaeger) find(t *testing.T, service, operation string, tags map[string]string) []jaegerTrace {
	t.Helper()
	query := url.Values{"service": {service}, "operation": {operation}, "limit": {"1000"}}
	if tags != nil {
		b, err := json.Marshal(tags)
		if err != nil {
			t.Fatal(err)
		}
		query.Set("tags", string(b))
	}
	var traces []jaegerTrace
	j.get(t, "/api/traces", query, &traces)
	return traces
}

// sendToJaeger starts a Jaeger, and a Collector that sends to it with the configuration that
// users have.
func sendToJaeger(t *testing.T) (jaeger, server) {
	t.Helper()
	j := jaeger{address: harness.Address(t)}
	otlp := harness.Address(t)
	serve(t, harness.Built(t, harness.Jaeger), harness.File("test/e2e/testdata/jaeger.yaml"),
		"OTLP_ADDRESS="+otlp, "QUERY_ADDRESS="+j.address, "QUERY_GRPC_ADDRESS="+harness.Address(t))
	return j, collector(t, harness.File("config/jaeger.yaml"), "JAEGER_ENDPOINT="+otlp, "METRICS_PORT="+harness.Port(t))
}

// await waits until spans of a service are there.
func (j jaeger) await(t *testing.T, service string) {
	t.Helper()
	harness.Eventually(t, arrivalLimit, "Jaeger knows the service", func() bool {
		var services []string
		j.get(t, "/api/services", nil, &services)
		return slices.Contains(services, service)
	})
}

// The known program's calls are found in Jaeger by service, operation and
// attribute.
func TestJaegerFindsTheCalls(t *testing.T) {
	j, c := sendToJaeger(t)
	const service = `na\xefve shop`
	k := runKnown(t, service, caller.Command(t, fmt.Sprintf("kinds:%d", rounds), "OTEL_SERVICE_NAME=na\xefve shop"))
	j.await(t, service)
	c.stop(t) // all is sent then

	for _, search := range []struct {
		operation string
		tags      map[string]string
		want      int // in each round
	}{
		{operation: "getsockopt SO_TYPE", want: 4},
		{operation: "getsockopt TCP_NODELAY", want: 2},
		{operation: "getsockopt IPV6_V6ONLY", want: 1},
		{operation: "getsockopt SO_DOMAIN", want: 1},
		{operation: "getsockopt SO_REUSEADDR", want: 1},
		{operation: "getsockopt SO_ERROR", want: 1},
		{operation: "getsockopt SO_ERROR", tags: map[string]string{"error.type": "ECONNREFUSED"}, want: 1},
		{operation: "getsockopt SO_TYPE", tags: map[string]string{"error.type": "EFAULT"}, want: 2},
		{operation: "getsockopt SO_TYPE", tags: map[string]string{"socket.option.value": "SOCK_STREAM"}, want: 1},
		{operation: "getsockopt TCP_NODELAY", tags: map[string]string{"network.transport": "unix", "syscall.return_value": "-95"}, want: 1},
		{operation: "getsockopt SO_TYPE", tags: map[string]string{"error.type": "ENOENT"}, want: 0},
	} {
		t.Run(fmt.Sprint(search.operation, " ", search.tags), func(t *testing.T) {
			traces := j.find(t, service, search.operation, search.tags)
			if len(traces) != rounds*search.want {
				t.Errorf("%s with %v: %d traces, want %d", search.operation, search.tags, len(traces), rounds*search.want)
			}
			for _, trace := range traces {
				if len(trace.Spans) != 1 || trace.Spans[0].Operation != search.operation {
					t.Fatalf("%+v, want one span %s", trace, search.operation)
				}
				process := trace.Processes[trace.Spans[0].ProcessID]
				if process.Service != service || tag(process.Tags, "process.pid") != float64(k.pid()) {
					t.Errorf("%s is of %+v, want pid %d", search.operation, process, k.pid())
				}
				// Jaeger shows a span red by this.
				failed := tag(trace.Spans[0].Tags, "error") == true
				if failed != (tag(trace.Spans[0].Tags, "error.type") != nil) {
					t.Errorf("%s: tags %+v, want an error where there is an error.type", search.operation, trace.Spans[0].Tags)
				}
			}
		})
	}
}

var jaegerBlock = regexp.MustCompile("(?s)```jaeger\n(.*?)```")

// Each search of the cookbook finds what it is meant to find, and shows who did it.
func TestJaegerAnswersTheCookbook(t *testing.T) {
	cookbook, err := os.ReadFile(harness.File("docs/cookbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := jaegerBlock.FindAllStringSubmatch(string(cookbook), -1)
	if len(blocks) == 0 {
		t.Fatal("the cookbook shows no search")
	}
	j, c := sendToJaeger(t)
	k := runKnown(t, "checkout", caller.Command(t, "connections:5", "OTEL_SERVICE_NAME=checkout"))
	j.await(t, k.service)
	c.stop(t) // all is sent then
	for _, block := range blocks {
		var search struct{ Service, Operation, Tags string }
		if err := yaml.Unmarshal([]byte(block[1]), &search); err != nil {
			t.Fatalf("%v in\n%s", err, block[1])
		}
		tags := map[string]string{}
		for _, pair := range strings.Fields(search.Tags) {
			key, value, _ := strings.Cut(pair, "=")
			tags[key] = value
		}
		traces := j.find(t, search.Service, search.Operation, tags)
		if len(traces) == 0 {
			t.Errorf("nothing is found by\n%s", block[1])
		}
		for _, trace := range traces {
			span := trace.Spans[0]
			if pid := tag(trace.Processes[span.ProcessID].Tags, "process.pid"); pid != float64(k.pid()) {
				t.Errorf("a span is of process %v, want %d, found by\n%s", pid, k.pid(), block[1])
			}
			if search.Operation == "getsockopt SO_ERROR" && tag(span.Tags, "network.peer.address") != "127.0.0.1" {
				t.Errorf("no peer in %+v, found by\n%s", span.Tags, block[1])
			}
		}
	}
}
