// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// An application and the receiver send to one Jaeger, which shows one trace: the failed
// connection below the span in which it was made, below the request.
func TestJaegerShowsCallsInTheTraceOfTheApplication(t *testing.T) {
	const service = "otelprogram"
	executable := harness.Application(t)
	j := jaeger{address: harness.Address(t)}
	otlp := harness.Address(t)
	serve(t, harness.Built(t, harness.Jaeger), harness.File("test/e2e/testdata/jaeger.yaml"),
		"OTLP_ADDRESS="+otlp, "QUERY_ADDRESS="+j.address, "QUERY_GRPC_ADDRESS="+harness.Address(t))
	c := collector(t, harness.File("config/jaeger.yaml"), "JAEGER_ENDPOINT="+otlp, "METRICS_PORT="+harness.Port(t))

	// An application is known to publish its spans within a second, before its first call.
	application := exec.Command(executable)
	application.Env = append(os.Environ(), "OTLP_ADDRESS="+otlp, "OTEL_SERVICE_NAME="+service)
	application.Stdin = &harness.Delayed{After: time.Second, Line: "\n"}
	out, err := application.Output()
	if err != nil {
		t.Fatalf("run the application: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	c.stop(t)

	traces := j.find(t, service, "request", nil)
	if len(traces) != 1 {
		t.Fatalf("%d traces of the application, want 1", len(traces))
	}
	spans := make(map[string]int) // by operation
	ids := map[string]string{"": "none"}
	for _, s := range traces[0].Spans {
		spans[s.Operation]++
		ids[s.SpanID] = s.Operation
	}
	parents := make(map[string]int)
	for _, s := range traces[0].Spans {
		parent := ""
		for _, r := range s.References {
			parent = r.SpanID
		}
		parents[fmt.Sprint(s.Operation, " in ", ids[parent])]++
		if strings.HasPrefix(s.Operation, "getsockopt ") && traces[0].Processes[s.ProcessID].Service != service {
			t.Errorf("%s is of %s, want %s", s.Operation, traces[0].Processes[s.ProcessID].Service, service)
		}
	}
	want := map[string]int{
		"request in none": 1, "work in request": 1, "detail in work": 1,
		"getsockopt SO_ERROR in work": 1,
		"getsockopt in request":       2, "getsockopt in work": 10, "getsockopt in detail": 1,
	}
	for edge, n := range want {
		if parents[edge] != n {
			t.Errorf("%d times %s, want %d", parents[edge], edge, n)
		}
	}
	if t.Failed() {
		t.Logf("spans %v\nparents %v\ncalls %q", spans, parents, lines)
	}
}
