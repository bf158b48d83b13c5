// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/internal/otlpsink"
	"github.com/getsockopt/getsockoptreceiver/test/internal/registry"
)

// What a running Collector emits is what the registry defines: by default, and with all
// that is opt-in.
func TestRunningCollectorEmitsWhatTheRegistryDefines(t *testing.T) {
	r, err := registry.Load()
	if err != nil {
		t.Fatal(err)
	}
	optIn := ""
	for _, name := range []string{
		"socket.option.level_code", "socket.option.code", "socket.option.value", "socket.option.value_int", "socket.entry",
		"socket.family", "socket.type", "socket.protocol", "socket.state", "socket.cookie", "socket.network_namespace",
	} {
		optIn += fmt.Sprintf(", %s: {enabled: true}", name)
	}
	for name, settings := range map[string]string{
		"default": "",
		"opt-in":  ", group_by: process, values: {expand: [TCP_INFO]}, span_attributes: {" + optIn[2:] + "}",
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var spans, points int
			report := func(err error) { t.Error(err) }
			server := httptest.NewServer(otlpsink.Handler(report, func(b otlpsink.Batch) error {
				mu.Lock()
				defer mu.Unlock()
				if b.Traces != nil {
					spans += b.Traces.SpanCount()
					return registry.CheckTraces(r, *b.Traces)
				}
				points += b.Metrics.DataPointCount()
				return registry.CheckMetrics(r, *b.Metrics)
			}))
			t.Cleanup(server.Close)
			c := collector(t, harness.WriteFile(t, "collector.yaml", fmt.Sprintf(`
receivers:
  getsockopt: {%s%s}
exporters:
  otlp_http: {endpoint: %q}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [getsockopt], exporters: [otlp_http]}
    metrics: {receivers: [getsockopt], exporters: [otlp_http]}
`, onlyKnown(t), settings, server.URL)))
			runKnown(t, "defined", caller.Command(t, "kinds:5", "OTEL_SERVICE_NAME=defined"))
			c.stop(t)
			mu.Lock()
			defer mu.Unlock()
			if want := 5 * len(caller.Kinds()); spans != want || points == 0 {
				t.Errorf("%d spans and %d points arrived, want %d spans", spans, points, want)
			}
		})
	}
}
