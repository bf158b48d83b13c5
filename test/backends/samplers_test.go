// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"fmt"
	"math"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// precision is how far apart thresholds of the same probability may be: the
// Collector's sampler writes four digits of them.
const precision = 1 << 40

func byID(spans []span) map[pcommon.SpanID]span {
	found := make(map[pcommon.SpanID]span, len(spans))
	for _, s := range spans {
		found[s.spanID] = s
	}
	return found
}

func probability(threshold uint64) float64 {
	return float64(randomnessEnd-threshold) / randomnessEnd
}

// consistent checks a sampler that was given spans, and should have raised the
// threshold of each to want: it keeps a span when its randomness is
// not below, and carries it.
func consistent(t *testing.T, what string, before, after []span, want func(span) uint64) {
	t.Helper()
	kept := byID(after)
	for _, b := range before {
		expected := want(b)
		a, found := kept[b.spanID]
		delete(kept, b.spanID)
		switch r := b.randomness(); {
		case found && a.threshold < b.threshold:
			t.Errorf("%s: %s became %s", what, b.tracestate, a.tracestate)
		case found && math.Abs(float64(a.threshold)-float64(expected)) > precision:
			t.Errorf("%s: %s became %s, want %x", what, b.tracestate, a.tracestate, expected)
		case found && r+precision < expected, !found && r >= expected+precision:
			t.Errorf("%s: a span with randomness %x and %s: kept %t at threshold %x", what, r, b.tracestate, found, expected)
		}
	}
	if len(kept) > 0 {
		t.Errorf("%s: %d spans that nobody sent", what, len(kept))
	}
}

// loads makes calls in two parts, whose spans fit into the ring each.
func loads(t *testing.T, service string, calls int) {
	t.Helper()
	load(t, service, calls/2)
	load(t, service, calls/2)
}

// modes are the spans of a Collector, as the receiver makes them and behind the
// probabilistic sampler in each mode.
type modes struct {
	raw, equalized, halved, hashed *sink
	collector                      server
}

// startModes starts a Collector with settings of the receiver.
func startModes(t *testing.T, settings string) modes {
	t.Helper()
	m := modes{raw: newSink(t), equalized: newSink(t), halved: newSink(t), hashed: newSink(t)}
	m.collector = collector(t, nil, "--config", harness.WriteFile(t, "collector.yaml", fmt.Sprintf(`
receivers:
  getsockopt: {%s}
processors:
  probabilistic_sampler/equalized: {mode: equalizing, sampling_percentage: 20}
  probabilistic_sampler/halved: {mode: proportional, sampling_percentage: 50}
  probabilistic_sampler/hashed: {sampling_percentage: 50}
exporters:
  otlp_http/raw: {endpoint: %s}
  otlp_http/equalized: {endpoint: %s}
  otlp_http/halved: {endpoint: %s}
  otlp_http/hashed: {endpoint: %s}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces/raw: {receivers: [getsockopt], exporters: [otlp_http/raw]}
    traces/equalized: {receivers: [getsockopt], processors: [probabilistic_sampler/equalized], exporters: [otlp_http/equalized]}
    traces/halved: {receivers: [getsockopt], processors: [probabilistic_sampler/halved], exporters: [otlp_http/halved]}
    traces/hashed: {receivers: [getsockopt], processors: [probabilistic_sampler/hashed], exporters: [otlp_http/hashed]}
`, settings, m.raw.serve(t), m.equalized.serve(t), m.halved.serve(t), m.hashed.serve(t))))
	return m
}

// check checks the spans of a service behind all modes: each keeps the share that both
// together should keep, and those of a kind stand for as many calls as were made.
func (m modes) check(t *testing.T, service, kind string, of func(*span) bool, calls int) {
	t.Helper()
	before := m.raw.spansOf(service, of)
	estimateOf(before).check(t, kind+" as sent", calls)
	for _, after := range []struct {
		what string
		sink *sink
		want func(span) uint64
	}{
		{"equalizing", m.equalized, func(s span) uint64 { return max(s.threshold, threshold(1/0.2)) }},
		{"proportional", m.halved, func(s span) uint64 { return threshold(1 / (probability(s.threshold) * 0.5)) }},
	} {
		spans := after.sink.spansOf(service, of)
		consistent(t, kind+", "+after.what, before, spans, after.want)
		estimateOf(spans).check(t, kind+", "+after.what, calls)
	}
	// The default mode of the sampler rejects spans that have a threshold.
	if n := len(m.hashed.spansOf(service, of)); n != 0 {
		t.Errorf("%s: hash_seed kept %d spans, want none", kind, n)
	}
}

// The Collector's probabilistic sampler behind the receiver.
func TestProbabilisticSampler(t *testing.T) {
	const calls = 40_000
	// Failed calls are all kept.
	m := startModes(t, fmt.Sprintf("select: %s, spans: {sampling_ratio: 0.1, max_per_second: 0}", onlyCallers(t)))
	loads(t, "sampled", calls)
	m.collector.stop(t)
	m.check(t, "sampled", "all", anySpan, calls)
	m.check(t, "sampled", "failed", failedSpan, calls/10)
	if n := len(m.raw.spansOf("sampled", failedSpan)); n != calls/10 {
		t.Errorf("%d failed calls were sent, want %d", n, calls/10)
	}
}

// An agent and a gateway with the configurations of config/: spans are counted with their
// adjusted counts, and some of them are kept.
func TestAgentAndGateway(t *testing.T) {
	const tracestateGate = "processor.tailsamplingprocessor.usetracestate"
	for gate, settings := range map[string]string{
		"-": "",
		"+": "spans: {sampling_ratio: 0.25, max_per_second: 0}", // 6,500 spans at once
	} {
		t.Run(gate+tracestateGate, func(t *testing.T) {
			p := startPrometheus(t, "global: {}\n")
			raw, kept := newSink(t), newSink(t)
			address := harness.Address(t)
			gateway := collector(t, []string{
				"GATEWAY_LISTEN=" + address, "TRACES_ENDPOINT=" + kept.serve(t), "PROMETHEUS_ENDPOINT=" + p.writeURL(),
				"DECISION_WAIT=1s", "FLUSH_INTERVAL=500ms",
			}, "--config", harness.File("config/gateway.yaml"), "--feature-gates="+gate+tracestateGate)
			agent := agentTo(t, address, raw, settings)

			const calls = 40_000
			loads(t, "behind", calls)
			agent.stop(t)
			checkSpanMetrics(t, p, raw, calls)
			gateway.stop(t)
			checkKept(t, raw, kept, gate == "+")
		})
	}
}

// The same with several gateways.
func TestAgentAndSeveralGateways(t *testing.T) {
	for name, start := range fleets {
		t.Run(name, func(t *testing.T) {
			p := startPrometheus(t, "global: {}\n")
			raw, kept := newSink(t), newSink(t)
			f := start(t, "TRACES_ENDPOINT="+kept.serve(t), "PROMETHEUS_ENDPOINT="+p.writeURL(), "DECISION_WAIT=1s", "FLUSH_INTERVAL=500ms")
			agent := agentTo(t, f.address, raw, "")

			const calls = 40_000
			loads(t, "behind", calls)
			agent.stop(t)
			checkSpanMetrics(t, p, raw, calls)
			f.stop(t)
			checkKept(t, raw, kept, false)
		})
	}
}

// agentTo starts an agent that sends to a gateway, and its spans also to a sink.
func agentTo(t *testing.T, address string, raw *sink, settings string) server {
	t.Helper()
	return collector(t, []string{"GATEWAY_ENDPOINT=" + address},
		"--config", harness.File("config/agent.yaml"), "--config", harness.WriteFile(t, "test.yaml", fmt.Sprintf(`
receivers:
  getsockopt: {collection_interval: 500ms, select: %s, %s}
exporters:
  otlp_http/test: {endpoint: %s}
service: {pipelines: {traces: {exporters: [otlp_grpc/gateway, otlp_http/test]}}}
`, onlyCallers(t), settings, raw.serve(t))))
}

// checkSpanMetrics compares what the gateway made of the spans with what they
// stand for, and with the calls that there were.
func checkSpanMetrics(t *testing.T, p prometheus, raw *sink, calls int) {
	t.Helper()
	const service = `service_name="behind"`
	for _, class := range []struct {
		selector string
		spans    []span
		calls    int
	}{
		{service + `,error_type=""`, raw.spansOf("behind", successSpan), calls / 10 * 9},
		{service + `,error_type="ENOPROTOOPT",status_code="STATUS_CODE_ERROR"`, raw.spansOf("behind", failedSpan), calls / 10},
	} {
		t.Run(class.selector, func(t *testing.T) {
			e := estimateOf(class.spans)
			e.check(t, class.selector, class.calls)
			rounding := roundingOf(raw.spansOf("behind", anySpan), class.spans)
			var counted float64
			harness.Eventually(t, limit, "the gateway counts the spans of "+class.selector, func() bool {
				counted = p.number(t, "sum(traces_span_metrics_calls_total{%s})", class.selector)
				return math.Abs(counted-e.calls) <= 5*rounding+1
			})
			t.Logf("%d spans stand for %.0f calls, spanmetrics counts %.0f, %d were made", e.spans, e.calls, counted, class.calls)
			if math.Abs(counted-float64(class.calls)) > 5*math.Hypot(e.deviation, rounding)+1 {
				t.Errorf("spanmetrics counts %.0f calls of %s, want %d", counted, class.selector, class.calls)
			}
			p.expect(t, counted, "histogram_count(sum(traces_span_metrics_duration_milliseconds{%s}))", class.selector)
		})
	}
	harness.Eventually(t, limit, "the metrics are there", func() bool {
		return p.number(t, "sum(socket_getsockopt_calls_total{%s})", service) == float64(calls)
	})
	p.expect(t, float64(calls), "histogram_count(sum(socket_getsockopt_duration_seconds{%s}))", service)
	p.expect(t, float64(calls/10), `sum(socket_getsockopt_calls_total{%s,error_type!=""})`, service)
	if found := p.query(t, `{__name__=~".*calls_total",process_pid!=""}`); len(found) > 0 {
		t.Errorf("each process has series of its own: %v", found)
	}
}

// roundingOf is the standard deviation of what spanmetrics' rounding adds: it
// counts whole calls, up or down by chance, and decides once for spans that
// follow each other with the same tracestate.
func roundingOf(order, class []span) float64 {
	own := byID(class)
	var variance, run float64
	for i, s := range order {
		if i > 0 && s.tracestate != order[i-1].tracestate {
			run = 0
		}
		if _, found := own[s.spanID]; !found {
			continue
		}
		_, fraction := math.Modf(1 / probability(s.threshold))
		variance += (2*run + 1) * fraction * (1 - fraction) // of (run+1)² and run²
		run++
	}
	return math.Sqrt(variance)
}

// checkKept compares the spans that tail sampling kept with those that it received.
func checkKept(t *testing.T, raw, kept *sink, heedsThresholds bool) {
	t.Helper()
	failed, others := raw.spansOf("behind", failedSpan), raw.spansOf("behind", func(s *span) bool {
		return !s.failed && time.Duration(s.end-s.start) < 5*time.Millisecond // well below what the policy calls slow
	})
	same := func(s span) uint64 { return s.threshold }
	consistent(t, "failed", failed, kept.spansOf("behind", failedSpan), same)

	given := byID(others)
	after := kept.spansOf("behind", func(s *span) bool {
		_, found := given[s.spanID]
		return found
	})
	t.Logf("tail sampling kept %d of %d spans that are neither slow nor failed", len(after), len(others))
	if heedsThresholds {
		consistent(t, "others", others, after, func(s span) uint64 { return max(s.threshold, threshold(10)) })
		return
	}
	// One in ten, by another randomness, and nothing in the span shows it.
	if n := float64(len(others)) / 10; math.Abs(float64(len(after))-n) > 5*math.Sqrt(n)+1 {
		t.Errorf("%d spans were kept of %d, want a tenth", len(after), len(others))
	}
	for _, s := range after {
		if s.threshold != given[s.spanID].threshold {
			t.Errorf("%s became %s", given[s.spanID].tracestate, s.tracestate)
		}
	}
}
