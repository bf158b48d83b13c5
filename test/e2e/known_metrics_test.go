// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"maps"
	"math"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// checkMetrics compares with the spans, which came another way.
func (k known) checkMetrics(t *testing.T, sink *sink, spans []span) {
	t.Helper()
	type total struct {
		calls uint64
		ns    uint64
	}
	want := map[string]total{}
	for i, s := range spans {
		errorType := ""
		if caller.Kinds()[i%len(caller.Kinds())].Return < 0 { // a pending error is not the call's
			errorType = s.Attributes["error.type"].(string)
		}
		key := fmt.Sprintf("%v/%v %s", s.Attributes["socket.option.level"], s.Attributes["socket.option.name"], errorType)
		w := want[key]
		w.calls++
		w.ns += s.End - s.Start
		want[key] = w
	}

	calls := k.metric(t, sink, "socket.getsockopt.calls", "{call}")
	counted := map[string]uint64{}
	for _, p := range calls.Sum.Points {
		first, last := spans[0].Start, spans[len(spans)-1].End
		if p.Attributes["socket.entry"] != "syscall" || p.Start > first || p.Time < last {
			t.Errorf("point %+v, want it to reach from before %d to after %d, and the entry syscall", p, first, last)
		}
		counted[seriesKey(p)] = uint64(p.AsInt)
	}
	durations := k.metric(t, sink, "socket.getsockopt.duration", "s")
	measured := map[string]bool{}
	for _, p := range durations.Histogram.Points {
		key := seriesKey(p)
		measured[key] = true
		var inBuckets uint64
		for _, n := range p.Positive.Buckets {
			inBuckets += uint64(n)
		}
		w := want[key]
		if p.Count != w.calls || inBuckets+p.ZeroCount != p.Count || p.Scale < 0 {
			t.Errorf("%s: %d calls took a time, %d in buckets, scale %d, want %d", key, p.Count, inBuckets, p.Scale, w.calls)
		}
		if math.Abs(p.Sum*1e9-float64(w.ns)) > float64(w.calls) {
			t.Errorf("%s: %v s together, the spans %d ns", key, p.Sum, w.ns)
		}
		if _, found := p.Attributes["socket.entry"]; found {
			t.Errorf("%s: a duration has its entry", key)
		}
	}
	for key, w := range want {
		if counted[key] != w.calls || !measured[key] {
			t.Errorf("%s: counted %d times, want %d; measured: %t", key, counted[key], w.calls, measured[key])
		}
	}
	if len(counted) != len(want) || len(measured) != len(want) {
		t.Errorf("%d series of calls and %d of durations, want %d", len(counted), len(measured), len(want))
	}

	errors := k.metric(t, sink, "socket.errors", "{error}")
	if len(errors.Sum.Points) != 1 || errors.Sum.Points[0].AsInt != rounds ||
		!maps.Equal(errors.Sum.Points[0].Attributes, attributes{"error.type": "ECONNREFUSED"}) {
		t.Errorf("socket.errors %+v, want %d ECONNREFUSED", errors.Sum.Points, rounds)
	}
}

// metric returns a metric that is cumulative, and monotonic if it is a sum.
func (k known) metric(t *testing.T, sink *sink, name, unit string) metric {
	t.Helper()
	m := sink.metricOf(k.service, name)
	if m == nil {
		t.Fatalf("no metric %s of %s", name, k.service)
	}
	d := m.Sum
	if d == nil {
		d = m.Histogram
	}
	if d == nil || m.Unit != unit || d.Temporality != temporalityCumulative || m.Sum != nil && !d.Monotonic {
		t.Fatalf("metric %+v, want it in %s, cumulative, monotonic", m, unit)
	}
	return *m
}

func seriesKey(p point) string {
	errorType, _ := p.Attributes["error.type"].(string)
	return fmt.Sprintf("%v/%v %s", p.Attributes["socket.option.level"], p.Attributes["socket.option.name"], errorType)
}
