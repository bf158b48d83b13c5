// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/internal/pdatautil"
)

// Each thing that a span may have wrong is found.
func TestCheckTraces(t *testing.T) {
	r, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(ptrace.ResourceSpans, ptrace.Span)
		want   string // empty: nothing is wrong
	}{
		"right": {func(ptrace.ResourceSpans, ptrace.Span) {}, ""},
		"own attribute of the process": {
			func(rs ptrace.ResourceSpans, _ ptrace.Span) {
				rs.Resource().Attributes().PutStr("deployment.environment.name", "prod")
			}, "",
		},
		"unknown attribute": {
			func(_ ptrace.ResourceSpans, s ptrace.Span) { s.Attributes().PutInt("socket.backlog", 1) }, "has socket.backlog, which",
		},
		"wrong type": {
			func(_ ptrace.ResourceSpans, s ptrace.Span) { s.Attributes().PutStr("socket.fd", "3") }, "has socket.fd as a Str, want a int",
		},
		"unknown value": {
			func(_ ptrace.ResourceSpans, s ptrace.Span) { s.Attributes().PutStr("socket.entry", "int80") }, "socket.entry=int80, which is not",
		},
		"missing attribute": {
			func(_ ptrace.ResourceSpans, s ptrace.Span) { s.Attributes().Remove("thread.id") }, "has no thread.id",
		},
		"kind": {func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetKind(ptrace.SpanKindClient) }, "is of the kind client"},
		"name": {func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetName("getsockopt") }, "want getsockopt SO_ERROR"},
		"unknown attribute of a resource": {
			func(rs ptrace.ResourceSpans, _ ptrace.Span) { rs.Resource().Attributes().PutInt("process.uid", 0) }, "resource has process.uid",
		},
		"wrong type in a resource": {
			func(rs ptrace.ResourceSpans, _ ptrace.Span) { rs.Resource().Attributes().PutStr("process.pid", "1") }, "process.pid as a Str",
		},
		"another scope": {
			func(rs ptrace.ResourceSpans, s ptrace.Span) {
				rs.ScopeSpans().At(0).Scope().SetName("other")
				s.SetName("other")
			}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			batch := ptrace.NewTraces()
			rs := batch.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutInt("process.pid", 1)
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName(pdatautil.ScopeName)
			s := ss.Spans().AppendEmpty()
			s.SetName("getsockopt SO_ERROR")
			s.SetKind(ptrace.SpanKindInternal)
			for _, key := range []string{"syscall.return_value", "thread.id", "cpu.logical_number", "tcp.info.rtt_us"} {
				s.Attributes().PutInt(key, 1)
			}
			s.Attributes().PutStr("socket.option.level", "SOL_SOCKET")
			s.Attributes().PutStr("socket.option.name", "SO_ERROR")
			s.Attributes().PutStr("error.type", "ECONNREFUSED")
			test.change(rs, s)
			expect(t, CheckTraces(r, batch), test.want)
		})
	}
}

func TestCheckMetrics(t *testing.T) {
	r, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(pmetric.Metric, pmetric.NumberDataPoint)
		want   string
	}{
		"right":         {func(pmetric.Metric, pmetric.NumberDataPoint) {}, ""},
		"name":          {func(m pmetric.Metric, _ pmetric.NumberDataPoint) { m.SetName("socket.calls") }, "socket.calls is not in"},
		"unit":          {func(m pmetric.Metric, _ pmetric.NumberDataPoint) { m.SetUnit("1") }, `has the unit "1"`},
		"not monotonic": {func(m pmetric.Metric, _ pmetric.NumberDataPoint) { m.Sum().SetIsMonotonic(false) }, "want a counter"},
		"missing attribute": {
			func(_ pmetric.Metric, p pmetric.NumberDataPoint) { p.Attributes().Remove("error.type") }, "has no error.type",
		},
		"overflow": {
			func(_ pmetric.Metric, p pmetric.NumberDataPoint) {
				p.Attributes().Clear()
				p.Attributes().PutBool("otel.metric.overflow", true)
			}, "",
		},
		"overflow and more": {
			func(_ pmetric.Metric, p pmetric.NumberDataPoint) {
				p.Attributes().PutBool("otel.metric.overflow", true)
			}, "an overflow point with",
		},
	} {
		t.Run(name, func(t *testing.T) {
			batch := pmetric.NewMetrics()
			sm := batch.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
			sm.Scope().SetName(pdatautil.ScopeName)
			m := sm.Metrics().AppendEmpty()
			m.SetName("socket.errors")
			m.SetUnit("{error}")
			m.SetDescription(r.Metrics()["socket.errors"].Brief)
			m.SetEmptySum().SetIsMonotonic(true)
			p := m.Sum().DataPoints().AppendEmpty()
			p.Attributes().PutStr("error.type", "ECONNREFUSED")
			test.change(m, p)
			expect(t, CheckMetrics(r, batch), test.want)
		})
	}
}

func expect(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("got %v, want no error", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v, want %q", err, want)
	}
}
