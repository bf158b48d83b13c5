// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// agent stands for one: it sends the spans that a test wants.
type agent struct {
	host     string
	to       ptraceotlp.GRPCClient
	perBatch int
	batch    ptrace.Traces
	next     uint64 // span id
}

func newAgent(t testing.TB, host, address string, firstSpan uint64) *agent {
	t.Helper()
	return &agent{host: host, to: ptraceotlp.NewGRPCClient(connect(t, address)), perBatch: 500, batch: ptrace.NewTraces(), next: firstSpan}
}

// add adds a span of a service, as the receiver makes it for one call.
func (a *agent) add(t testing.TB, service string, trace pcommon.TraceID, tracestate string, failed bool) {
	t.Helper()
	s := a.spansOf(service).AppendEmpty()
	s.SetTraceID(trace)
	a.next++
	var id pcommon.SpanID
	binary.BigEndian.PutUint64(id[:], a.next)
	s.SetSpanID(id)
	s.TraceState().FromRaw(tracestate)
	s.SetName("getsockopt SO_ERROR")
	s.Attributes().PutStr("socket.option.name", "SO_ERROR")
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	s.SetStartTimestamp(s.EndTimestamp() - 1000)
	if failed {
		s.Status().SetCode(ptrace.StatusCodeError)
	}
	if a.batch.SpanCount() == a.perBatch {
		a.flush(t)
	}
}

func (a *agent) spansOf(service string) ptrace.SpanSlice {
	for _, rs := range a.batch.ResourceSpans().All() {
		if name, _ := rs.Resource().Attributes().Get("service.name"); name.Str() == service {
			return rs.ScopeSpans().At(0).Spans()
		}
	}
	rs := a.batch.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	rs.Resource().Attributes().PutStr("host.name", a.host)
	return rs.ScopeSpans().AppendEmpty().Spans()
}

func (a *agent) flush(t testing.TB) {
	t.Helper()
	export(t, a.to, a.batch)
	a.batch = ptrace.NewTraces()
}

func export(t testing.TB, to ptraceotlp.GRPCClient, td ptrace.Traces) {
	t.Helper()
	if _, err := to.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(td)); err != nil {
		t.Fatal(err)
	}
}

func connect(t testing.TB, address string) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

const decisions = "otelcol_processor_tail_sampling_global_count_traces_sampled"

// Traces whose spans come from two hosts, and late ones: two gateways count each call once,
// in series that add up, and decide once on each trace, as a whole.
func TestSeveralGateways(t *testing.T) {
	const traces = 3000
	for name, start := range fleets {
		t.Run(name, func(t *testing.T) {
			p := startPrometheus(t, "global: {}\n")
			kept := newSink(t)
			f := start(t, "TRACES_ENDPOINT="+kept.serve(t), "PROMETHEUS_ENDPOINT="+p.writeURL(), "DECISION_WAIT=3s", "FLUSH_INTERVAL=500ms")
			first, second := newAgent(t, "first", f.address, 0), newAgent(t, "second", f.address, 1<<32)

			random := rand.New(rand.NewPCG(15, 15))
			ids := make([]pcommon.TraceID, traces)
			failed := map[pcommon.TraceID]bool{}
			calls := map[string]float64{}
			for i := range ids {
				binary.BigEndian.PutUint64(ids[i][:], random.Uint64())
				binary.BigEndian.PutUint64(ids[i][8:], random.Uint64()|0xc<<52) // kept at each of these thresholds
				failed[ids[i]] = i%10 == 0
				th, weight := []string{"ot=th:0", "ot=th:8", "ot=th:c"}[i%3], math.Exp2(float64(i%3))
				first.add(t, "shop", ids[i], th, false)
				first.add(t, "shop", ids[i], th, false)
				second.add(t, "stock", ids[i], th, failed[ids[i]])
				calls["shop"] += 2 * weight
				calls["stock"] += weight
			}
			first.flush(t)
			second.flush(t)
			harness.Eventually(t, limit, "each trace is decided on", func() bool { return f.own(t, decisions) >= traces })
			for i, id := range ids {
				second.add(t, "late", id, "ot=th:0", false)
				calls["late"]++
				if i%2 == 0 {
					second.add(t, "late", id, "ot=th:0", false)
					calls["late"]++
				}
			}
			second.flush(t)

			const counted = "traces_span_metrics_calls_total"
			for service, want := range calls {
				harness.Eventually(t, limit, fmt.Sprintf("%v calls of %s are counted", want, service), func() bool {
					return p.number(t, "sum(%s{service_name=%q})", counted, service) == want
				}, func() string { return fmt.Sprint(p.query(t, "%s{service_name=%q}", counted, service)) })
				p.expect(t, want, "histogram_count(sum(traces_span_metrics_duration_milliseconds{service_name=%q}))", service)
				p.expect(t, float64(len(f.gateways)), "count(count by (collector_instance_id) (%s{service_name=%q}))", counted, service)
			}
			if n := f.own(t, decisions); n != traces {
				t.Errorf("%v decisions on %d traces", n, traces)
			}
			f.stop(t)

			checkWhole(t, kept, ids, failed)
		})
	}
}

// checkWhole checks that traces were kept as a whole or not at all: those that failed, and
// a tenth of the others.
func checkWhole(t *testing.T, kept *sink, ids []pcommon.TraceID, failed map[pcommon.TraceID]bool) {
	t.Helper()
	seen := map[pcommon.SpanID]bool{}
	spans := map[pcommon.TraceID]int{}
	for _, s := range kept.spans {
		if seen[s.spanID] {
			t.Fatalf("span %s was kept twice", s.spanID)
		}
		seen[s.spanID] = true
		spans[s.traceID]++
	}
	var others, of float64
	for i, id := range ids {
		want := 4
		if i%2 == 0 {
			want = 5
		}
		if !failed[id] {
			of++
			if spans[id] == 0 {
				continue
			}
			others++
		}
		if spans[id] != want {
			t.Errorf("%d spans were kept of the %d of trace %s, which failed: %t", spans[id], want, id, failed[id])
		}
	}
	if math.Abs(others-of/10) > 5*math.Sqrt(of/10) {
		t.Errorf("%v of %v traces that did not fail were kept, want a tenth", others, of)
	}
}

// Traces as large as a request may be pass every limit on the way, also when requests are
// merged.
func TestSeveralGatewaysTakeLargeTraces(t *testing.T) {
	const traces, spans = 4, 30_000
	for name, start := range fleets {
		t.Run(name, func(t *testing.T) {
			p := startPrometheus(t, "global: {}\n")
			kept := newSink(t)
			f := start(t, "TRACES_ENDPOINT="+kept.serve(t), "PROMETHEUS_ENDPOINT="+p.writeURL(), "DECISION_WAIT=1s", "FLUSH_INTERVAL=500ms")
			a := newAgent(t, "one", f.address, 0)
			a.perBatch = spans + 1
			for i := range traces {
				for range spans {
					a.add(t, "large", pcommon.TraceID{14: byte(i), 15: 1}, "ot=th:0", true)
				}
				if size := (&ptrace.ProtoMarshaler{}).TracesSize(a.batch); size < 3<<20 || size > 4<<20 {
					t.Fatalf("the request has %d bytes, want 3 to 4 MiB", size)
				}
				a.flush(t)
			}
			harness.Eventually(t, limit, "all spans are counted", func() bool {
				return p.number(t, "sum(traces_span_metrics_calls_total)") == traces*spans
			})
			f.stop(t)
			if n := len(kept.spans); n != traces*spans {
				t.Errorf("%d spans were kept, want %d", n, traces*spans)
			}
		})
	}
}

// A gateway forgets no service while it counts those of many hosts.
func TestGatewayCountsManyServices(t *testing.T) {
	const services, rounds = 3000, 2
	p := startPrometheus(t, "global: {}\n")
	address := harness.Address(t)
	gateway := collector(t, []string{
		"GATEWAY_LISTEN=" + address, "TRACES_ENDPOINT=" + newSink(t).serve(t), "PROMETHEUS_ENDPOINT=" + p.writeURL(),
		"DECISION_WAIT=1s", "FLUSH_INTERVAL=500ms",
	}, "--config", harness.File("config/gateway.yaml"))
	a := newAgent(t, "one", address, 0)
	for round := range rounds {
		for i := range services {
			a.add(t, fmt.Sprint("service-", i), pcommon.TraceID{8: byte(round), 14: byte(i >> 8), 15: byte(i)}, "ot=th:0", true)
		}
		harness.Eventually(t, limit, "every span is counted", func() bool {
			return p.number(t, "sum(traces_span_metrics_calls_total)") == float64((round+1)*services)
		})
	}
	gateway.stop(t)
}

// A gateway remembers its decisions for longer than the traces.
func TestLateSpansFollowTheDecision(t *testing.T) {
	const traces = 1000
	kept := newSink(t)
	address := harness.Address(t)
	gateway := collector(t, []string{"GATEWAY_LISTEN=" + address, "TRACES_ENDPOINT=" + kept.serve(t), "DECISION_WAIT=1s"},
		"--config", harness.File("config/gateway.yaml"),
		"--config", harness.WriteFile(t, "test.yaml", fmt.Sprintf("processors: {tail_sampling: {num_traces: %d}}", traces)))
	a := newAgent(t, "one", address, 0)
	trace := func(i int) (id pcommon.TraceID) {
		binary.BigEndian.PutUint64(id[8:], uint64(i+1))
		return id
	}
	for i := range 2 * traces {
		a.add(t, "late", trace(i), "ot=th:0", i%2 == 0)
		if i%traces == traces-1 {
			harness.Eventually(t, limit, "each trace is decided on", func() bool { return gateway.own(t, decisions) == float64(i+1) })
		}
	}
	for i := range traces {
		a.add(t, "late", trace(i), "ot=th:0", i%2 == 1)
	}
	gateway.stop(t)
	spans := map[pcommon.TraceID]int{}
	for _, s := range kept.spans {
		spans[s.traceID]++
	}
	for i := range traces {
		if n := spans[trace(i)]; n == 1 || i%2 == 0 && n == 0 {
			t.Errorf("%d spans of 2 were kept of trace %d, whose first failed: %t", n, i, i%2 == 0)
		}
	}
}
