// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/internal/caller"
)

// TestConfigurationsAreValid looks at every configuration that comes with the
// Collector.
func TestConfigurationsAreValid(t *testing.T) {
	paths, err := filepath.Glob(file(t, "config/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) < 3 {
		t.Fatalf("found %v, want local, Jaeger and Tempo at least", paths)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			cmd := exec.Command(binary(t, "dist/otelcol-getsockopt", "build"), "validate", "--config", path)
			if output, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// The README shows settings with their defaults.
func TestConfigurationOfTheReadmeIsValid(t *testing.T) {
	readme, err := os.ReadFile(file(t, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := yamlBlock.FindAllStringSubmatch(string(readme), -1)
	if len(blocks) == 0 {
		t.Fatal("the README shows no configuration")
	}
	for _, block := range blocks {
		config := write(t, "collector.yaml", block[1]+toDebug)
		cmd := exec.Command(binary(t, "dist/otelcol-getsockopt", "build"), "validate", "--config", config)
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s\n%s", err, output, block[1])
		}
	}
}

// What `make run` shows: spans and metrics that a person can read.
func TestLocalConfigurationPrintsCalls(t *testing.T) {
	c := collector(t, file(t, "config/local.yaml"))
	runKnown(t, "printed", caller.Command(t, "kinds:1", "OTEL_SERVICE_NAME=printed"))
	c.stop(t)
	for _, want := range []string{
		"service.name: Str(printed)",
		"getsockopt SO_ERROR",
		"socket.option.value: Str(ECONNREFUSED)",
		"error.type: Str(EOPNOTSUPP)",
		"socket.getsockopt.calls",
		"socket.getsockopt.duration",
		"socket.errors",
	} {
		if !strings.Contains(c.output.String(), want) {
			t.Errorf("%q is not printed", want)
		}
	}
}

// Tempo takes what any OTLP/HTTP server does.
func TestTempoConfigurationSends(t *testing.T) {
	const service = "to-tempo"
	var arrived atomic.Int64
	tempo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := spansIn(r, service)
		if err != nil {
			t.Error(err)
		}
		arrived.Add(n)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(tempo.Close)
	c := collector(t, file(t, "config/tempo.yaml"), "TEMPO_ENDPOINT="+tempo.URL, "METRICS_PORT="+freePort(t))
	runKnown(t, service, caller.Command(t, "kinds:1", "OTEL_SERVICE_NAME="+service))
	eventually(t, arrivalLimit, "the spans arrive", func() bool {
		return arrived.Load() == int64(len(caller.Kinds()))
	})
	c.stop(t)
}

// spansIn counts a service's spans in an OTLP/HTTP request.
func spansIn(r *http.Request, service string) (n int64, err error) {
	if r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return 0, fmt.Errorf("%s of type %s, want spans in protobuf", r.URL.Path, r.Header.Get("Content-Type"))
	}
	body, err := gzip.NewReader(r.Body)
	if err != nil {
		return 0, err
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return 0, err
	}
	// TracesData and ExportTraceServiceRequest are the same on the wire.
	traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b)
	if err != nil {
		return 0, err
	}
	for _, rs := range traces.ResourceSpans().All() {
		if name, found := rs.Resource().Attributes().Get("service.name"); !found || name.Str() != service {
			continue
		}
		for _, ss := range rs.ScopeSpans().All() {
			n += int64(ss.Spans().Len())
		}
	}
	return n, nil
}
