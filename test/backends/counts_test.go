// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// Two processes as fast as they can, a tenth of their calls failing: metrics
// are exact, and the spans stand for all the calls, whatever settings decide
// about them.
func TestSpansStandForTheCalls(t *testing.T) {
	for name, test := range map[string]struct {
		spans  string
		calls  int
		rounds int // more than one where bursts are limited: few spans stand for many calls
	}{
		"one in a hundred":                  {"sampling_ratio: 0.01, max_per_second: 0, always_keep: {failed: false}", 300_000, 1},
		"one in a hundred, 1000 a second":   {"sampling_ratio: 0.01, max_per_second: 1000", 300_000, 8},
		"a third, at most 2000 in a second": {"sampling_ratio: 0.3333, max_per_second: 2000, always_keep: {failed: false}", 300_000, 8},
		// What fails comes unsampled: fewer calls, for the ring is small.
		"one in a hundred and what failed": {"sampling_ratio: 0.01, max_per_second: 0", 60_000, 1},
	} {
		t.Run(name, func(t *testing.T) {
			calls := size(test.calls, 3_000_000)
			var failed, others []span
			for range test.rounds {
				next := newSink(t)
				r := receive(t, next, fmt.Sprintf("{collection_interval: 200ms, select: %s, spans: {%s}}", onlyCallers(t), test.spans))
				load(t, "loaded", calls)
				r.stop(t)
				checkTotals(t, next, "loaded", calls)
				r.balance(t, sum(next.of("", callsMetric), anyPoint))
				r.lostNone(t)
				failed = append(failed, next.spansOf("loaded", failedSpan)...)
				others = append(others, next.spansOf("loaded", successSpan)...)
			}
			calls *= test.rounds
			f, o := estimateOf(failed), estimateOf(others)
			if test.rounds > 1 {
				f, o = f.ofBursts(calls/10), o.ofBursts(calls/10*9)
			}
			f.check(t, "failed", calls/10)
			o.check(t, "others", calls/10*9)
			f.plus(o).check(t, "all", calls)
		})
	}
}

// checkTotals holds a service's metrics to the number of its calls, of which
// each tenth failed.
func checkTotals(t *testing.T, next *sink, service string, calls int) {
	t.Helper()
	for _, metric := range []string{callsMetric, durationMetric} {
		points := next.of(service, metric)
		all, failed := sum(points, anyPoint), sum(points, failedPoint)
		if all != uint64(calls) || failed != uint64(calls/10) {
			t.Errorf("%s of %s: %d, %d of them failed, want %d and %d", metric, service, all, failed, calls, calls/10)
		}
	}
	for _, p := range next.of(service, durationMetric) {
		var inBuckets uint64
		for _, n := range p.histogram.Positive().BucketCounts().All() {
			inBuckets += n
		}
		if inBuckets+p.histogram.ZeroCount() != p.count {
			t.Errorf("a histogram of %d calls has %d in its buckets", p.count, inBuckets)
		}
	}
}

// With a target the spans come at its rate, and stand for the calls still.
func TestSpansComeAtTheirRate(t *testing.T) {
	const target, settle, measured = 500, 3, 5
	next := newSink(t)
	r := receive(t, next, fmt.Sprintf("{collection_interval: 1s, select: %s, spans: {max_per_second: %d}}", onlyCallers(t), target))
	commands := []*exec.Cmd{command(t, "steady", "loop:2000000000"), command(t, "steady", "loop:2000000000")}
	for _, c := range commands {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep((settle + measured + 1) * time.Second)
	for _, c := range commands {
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait() // its error is that it was killed
	}
	r.stop(t)

	spans := next.spansOf("steady", anySpan)
	if len(spans) == 0 {
		t.Fatal("there are no spans")
	}
	first := spans[0].end
	for _, s := range spans {
		first = min(first, s.end)
	}
	var perSecond [settle + measured + 2]int
	for _, s := range spans {
		if second := int(time.Duration(s.end-first) / time.Second); second < len(perSecond) {
			perSecond[second]++
		}
	}
	t.Logf("spans in each second: %v", perSecond)
	n := 0
	for _, inSecond := range perSecond[settle : settle+measured] {
		n += inSecond
	}
	if low, high := target*measured*8/10, target*measured*12/10; n < low || n > high {
		t.Errorf("%d spans in %d seconds, want %d to %d: %v", n, measured, low, high, perSecond)
	}
	calls := sum(next.of("steady", callsMetric), anyPoint)
	r.balance(t, sum(next.of("", callsMetric), anyPoint))
	r.lostNone(t)
	estimateOf(spans).check(t, "all", int(calls))
	estimateOf(next.spansOf("steady", failedSpan)).check(t, "failed", int(sum(next.of("steady", callsMetric), failedPoint)))
}

// Processes that make one call each and exit: children that never called exec, and
// programs.
func TestShortLivedProcessesAreCounted(t *testing.T) {
	processes := size(2000, 20_000)
	program := filepath.Join(t.TempDir(), "brief")
	if output, err := exec.Command("cc", "-O", "-o", program, filepath.Join("testdata", "brief.c")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, groupBy := range []string{"service", "process"} {
		for _, how := range []string{"fork", "exec"} {
			t.Run(groupBy+"/"+how, func(t *testing.T) {
				next := newSink(t)
				r := receive(t, next, "{collection_interval: 200ms, select: {executables: [brief]}, group_by: "+groupBy+"}")
				c := exec.Command(program, how, fmt.Sprint(processes))
				c.Env = []string{"OTEL_SERVICE_NAME=brief", "OTEL_RESOURCE_ATTRIBUTES=service.namespace=tests"}
				together(t, c)
				r.stop(t)
				own, all := sum(next.of("brief", callsMetric), anyPoint), sum(next.of("", callsMetric), anyPoint)
				// More processes at a time than there are groups share one of no service.
				if all != uint64(processes) || groupBy == "service" && own != all {
					t.Errorf("%d calls of the service, %d in all, want %d", own, all, processes)
				}
				r.balance(t, all)
			})
		}
	}
}

// More series than places: every call is counted, what found no place in one point of each
// metric for each service.
func TestCardinalityLimit(t *testing.T) {
	const limit, options = 10, 50
	next := newSink(t)
	r := receive(t, next, fmt.Sprintf("{collection_interval: 200ms, select: %s, cardinality_limit: %d}", onlyCallers(t), limit))
	const rounds = 20
	for range rounds {
		together(t, command(t, "one", fmt.Sprint("options:", options)), command(t, "other", fmt.Sprint("options:", options)))
	}
	r.stop(t)
	for _, metric := range []string{callsMetric, durationMetric} {
		t.Run(metric, func(t *testing.T) {
			points := next.of("", metric)
			if n := sum(points, anyPoint); n != 2*rounds*options {
				t.Errorf("%s: %d, want %d", metric, n, 2*rounds*options)
			}
			var overflows int
			now := next.current(metric)
			for _, p := range now {
				if overflowPoint(p) {
					overflows++
					if p.attributes.Len() != 1 {
						t.Errorf("%s: the overflow point has %v", metric, p.attributes.AsRaw())
					}
				}
			}
			const services = 3 // one, other, and none
			if overflows == 0 || overflows > services || len(now) > limit+services {
				t.Errorf("%s: %d points, %d of them for the overflow, want at most %d and %d", metric, len(now), overflows, limit+services, services)
			}
			if n := sum(points, overflowPoint); n < (2*options-limit)*rounds {
				t.Errorf("%s: %d in the overflow point, want at least %d", metric, n, (2*options-limit)*rounds)
			}
		})
	}
	r.balance(t, 2*rounds*options)
}

// A consumer that refuses everything for ten seconds, longer than spans are
// offered again: metrics miss nothing, and each span that is not there is
// counted.
func TestRefusingConsumerIsAccountedFor(t *testing.T) {
	next := newSink(t)
	r := receive(t, next, fmt.Sprintf("{collection_interval: 500ms, select: %s}", onlyCallers(t)))
	calls := size(100_000, 1_000_000)
	load(t, "patient", calls)
	harness.Eventually(t, limit, "metrics arrive", func() bool { return sum(next.of("patient", callsMetric), anyPoint) == uint64(calls) })
	start := startOf(next.of("patient", durationMetric))

	next.refuse(true)
	over := time.After(10 * time.Second)
	load(t, "patient", calls)
	<-over
	next.refuse(false)
	load(t, "patient", calls)
	harness.Eventually(t, limit, "metrics arrive again", func() bool { return sum(next.of("patient", callsMetric), anyPoint) == uint64(3*calls) })
	r.stop(t)

	checkTotals(t, next, "patient", 3*calls)
	if again := startOf(next.of("patient", durationMetric)); again != start {
		t.Errorf("the metrics began at %v, then at %v", start, again)
	}
	r.balance(t, uint64(3*calls))
	lost := r.own(t, "lost", "reason", "consumer_refused")
	if next.refused == 0 || lost == 0 {
		t.Errorf("refused %d times, %d spans lost by it, want some", next.refused, lost)
	}
	if emitted, arrived := r.own(t, "emitted"), len(next.spansOf("patient", anySpan)); emitted != arrived {
		t.Errorf("%d spans were emitted, %d arrived", emitted, arrived)
	}
	t.Logf("refused %d times, %d spans lost by it", next.refused, lost)
}

func startOf(points []point) pcommon.Timestamp {
	if len(points) == 0 {
		return 0
	}
	return points[0].histogram.StartTimestamp()
}
