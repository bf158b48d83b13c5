// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// Each setting of parents, with a publisher that tells whether it samples, and one of which
// only the sampled spans are seen: it samples one in ten.
func TestParentSettings(t *testing.T) {
	for name, test := range map[string]struct {
		executable  string
		arguments   []string
		environment string
		tells       bool
	}{
		"thread context": {executable: buildModel(t, "loaded descriptor"), arguments: []string{"9000"}, tells: true},
		"go labels":      {executable: harness.Application(t), arguments: []string{"20"}, environment: "OTEL_TRACES_SAMPLER=parentbased_traceidratio"},
	} {
		t.Run(name, func(t *testing.T) {
			collectors := make(map[string]*collector)
			for _, setting := range []string{"any", "sampled", "none"} {
				collectors[setting] = collect(t, filepath.Base(test.executable), func(c *getsockoptreceiver.Config) { c.Spans.Parent = setting })
			}
			command := exec.Command(test.executable, test.arguments...)
			command.Env = append(os.Environ(), test.environment, "OTEL_TRACES_SAMPLER_ARG=0.1")
			p := start(t, command)
			awaitPublished(t, p.command.Process.Pid, 2) // not the one without parents
			p.proceed(t)
			lines := parse(t, p.finish(t))
			for setting, c := range collectors {
				c.end()
				spans := c.spans()
				parents := 0
				for _, line := range lines {
					of := spans[line.option]
					if len(of) != 1 { // SO_ERROR
						continue
					}
					want := line.spanID
					if setting == "none" || setting == "sampled" && test.tells && line.flags&1 == 0 {
						want = noSpan
					}
					checkParent(t, setting, of[0], line.traceID, want)
					if want != noSpan {
						parents++
					}
				}
				if (parents > 0) != (setting != "none") {
					t.Errorf("%s: %d spans have a parent", setting, parents)
				}
				c.checkExemplars(t, spans)
			}
		})
	}
}

func checkParent(t *testing.T, setting string, s ptrace.Span, traceID, parentID string) {
	t.Helper()
	got := s.ParentSpanID().String()
	if s.ParentSpanID().IsEmpty() {
		got = noSpan
	}
	if got != parentID || (parentID != noSpan) != (s.TraceID().String() == traceID) {
		t.Errorf("%s: a span has the trace %s and the parent %s, its program %s and %s", setting, s.TraceID(), got, traceID, parentID)
	}
}

// spans returns all spans by the option of their calls.
func (c *collector) spans() map[int32][]ptrace.Span {
	found := make(map[int32][]ptrace.Span)
	for _, batch := range c.traces.AllTraces() {
		for _, rs := range batch.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					code, _ := span.Attributes().Get(semconv.SocketOptionCode)
					found[int32(code.Int())] = append(found[int32(code.Int())], span)
				}
			}
		}
	}
	return found
}

// checkExemplars checks that all exemplars lead to spans.
func (c *collector) checkExemplars(t *testing.T, spans map[int32][]ptrace.Span) {
	t.Helper()
	traces := make(map[pcommon.SpanID]pcommon.TraceID)
	for _, of := range spans {
		for _, s := range of {
			traces[s.SpanID()] = s.TraceID()
		}
	}
	n := 0
	for _, batch := range c.metrics.AllMetrics() {
		for _, rm := range batch.ResourceMetrics().All() {
			for x := range exemplars(rm) {
				n++
				if traces[x.SpanID()] != x.TraceID() {
					t.Errorf("an exemplar leads to the span %s in the trace %s, which is in %s", x.SpanID(), x.TraceID(), traces[x.SpanID()])
				}
			}
		}
	}
	if n == 0 {
		t.Error("there are no exemplars")
	}
}

func exemplars(rm pmetric.ResourceMetrics) func(func(pmetric.Exemplar) bool) {
	return func(yield func(pmetric.Exemplar) bool) {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Type() != pmetric.MetricTypeExponentialHistogram {
					continue
				}
				for _, point := range m.ExponentialHistogram().DataPoints().All() {
					for _, x := range point.Exemplars().All() {
						if !yield(x) {
							return
						}
					}
				}
			}
		}
	}
}
