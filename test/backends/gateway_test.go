// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// The gateway counts every span, also those of processes without a service: span_metrics
// alone would leave them out.
func TestGatewayCountsSpansWithoutAService(t *testing.T) {
	p := startPrometheus(t, "global: {}\n")
	address := harness.Address(t)
	gateway := collector(t, []string{
		"GATEWAY_LISTEN=" + address, "TRACES_ENDPOINT=" + newSink(t).serve(t), "PROMETHEUS_ENDPOINT=" + p.writeURL(),
		"DECISION_WAIT=1s", "FLUSH_INTERVAL=500ms",
	}, "--config", harness.File("config/gateway.yaml"))

	td := ptrace.NewTraces()
	for i, resource := range []map[string]any{
		{"service.name": "shop", "process.executable.name": "java"},
		{"process.executable.name": "java"},
		{"process.executable.name": ""},
		{},
	} {
		rs := td.ResourceSpans().AppendEmpty()
		if err := rs.Resource().Attributes().FromRaw(resource); err != nil {
			t.Fatal(err)
		}
		s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetTraceID(pcommon.TraceID{byte(i + 1)})
		s.SetSpanID(pcommon.SpanID{byte(i + 1)})
		s.SetName("getsockopt SO_ERROR")
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		s.SetStartTimestamp(s.EndTimestamp() - 1000)
	}
	export(t, ptraceotlp.NewGRPCClient(connect(t, address)), td)
	harness.Eventually(t, limit, "every span is counted", func() bool {
		return p.number(t, "sum(traces_span_metrics_calls_total)") == 4
	})
	for service, want := range map[string]float64{"shop": 1, "java": 1, "unknown": 2} {
		p.expect(t, want, "sum(traces_span_metrics_calls_total{service_name=%q})", service)
	}
	gateway.stop(t)
}
