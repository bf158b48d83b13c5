// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/metrics"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/traces"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// steps are what somebody does to the wall clock. It is not done to the host's,
// by which others go too: what the receiver reads of it is handed in. The
// kernel side reads CLOCK_MONOTONIC alone, which nobody can set.
var steps = []time.Duration{0, time.Hour, -time.Hour, -48 * time.Hour, 0}

// A span is as long as its call, wherever a step of the clock puts it.
func TestClockStepsBetweenSpans(t *testing.T) {
	b := traces.New(traces.Options{})
	boot := time.Now().Add(-time.Hour)
	call := record.Call{Start: uint64(time.Hour), Duration: 1234, Level: unix.SOL_SOCKET, Option: unix.SO_TYPE}
	for _, step := range steps {
		b.SetClock(boot.Add(step).UnixNano())
		b.Add(&call, nil)
		td := b.Take()
		s := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		if want := boot.Add(time.Hour + step); s.StartTimestamp() != pcommon.NewTimestampFromTime(want) {
			t.Errorf("after a step of %v the span starts at %v, want %v", step, s.StartTimestamp().AsTime(), want)
		}
		if d := s.EndTimestamp() - s.StartTimestamp(); d != 1234 {
			t.Errorf("after a step of %v the span lasts %d ns, want 1234", step, d)
		}
	}
}

// A point never ends before it starts, and its number stays what it is.
func TestClockStepsBetweenCollections(t *testing.T) {
	start := time.Now()
	b := metrics.New(metrics.Options{
		Start:    start,
		Enabled:  metrics.Enabled{Calls: true, Duration: true, Errors: true},
		Resource: func(record.Group) *workload.Resource { return &workload.Resource{} },
	})
	buckets := make([]uint64, histogram.Buckets)
	buckets[40] = 7
	s := record.Snapshot{Series: []record.Series{{SeriesKey: record.SeriesKey{Level: unix.SOL_SOCKET, Option: unix.SO_TYPE}, Sum: 7000, Buckets: buckets}}}
	b.Add(&s, 0)
	for i, step := range steps {
		at := start.Add(time.Duration(i+1)*time.Second + step)
		batch := b.Build(nil, at)[0]
		b.Done(batch, true)
		for _, m := range batch.Metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			switch m.Type() {
			case pmetric.MetricTypeSum:
				p := m.Sum().DataPoints().At(m.Sum().DataPoints().Len() - 1) // behind the first one, of 0
				checkInterval(t, step, p.StartTimestamp(), p.Timestamp())
				if p.IntValue() != 7 {
					t.Errorf("%s is %d, want 7", m.Name(), p.IntValue())
				}
			case pmetric.MetricTypeExponentialHistogram:
				p := m.ExponentialHistogram().DataPoints().At(m.ExponentialHistogram().DataPoints().Len() - 1)
				checkInterval(t, step, p.StartTimestamp(), p.Timestamp())
				if p.Count() != 7 {
					t.Errorf("%s has %d calls, want 7", m.Name(), p.Count())
				}
			}
		}
	}
}

func checkInterval(t *testing.T, step time.Duration, start, end pcommon.Timestamp) {
	t.Helper()
	if end < start {
		t.Errorf("after a step of %v a point ends at %v, before it starts at %v", step, end.AsTime(), start.AsTime())
	}
}
