// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// Points go on at the time that the wall clock shows. The start changes only when it would
// come after the end, and then the first point has no duration.
func TestPointTimesFollowClockSteps(t *testing.T) {
	key := record.SeriesKey{Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_SNDBUF}
	s := &record.Snapshot{Groups: map[uint32]record.Group{1: group(1, record.OriginExecutable, "curl", "")}, Series: []record.Series{series(key, 1000, 2000)}}
	b := New(Options{Resource: resources(), Start: start, Enabled: all})
	b.Add(s, 0)
	accept(b, b.Build(nil, start.Add(time.Second)))
	for i, step := range []struct{ at, start time.Duration }{
		{10 * time.Second, 0},
		{10*time.Second + 2*time.Millisecond, 0},  // slewed
		{time.Hour, 0},                            // set forward
		{20 * time.Second, 0},                     // and back
		{-time.Hour, -time.Hour},                  // before the start
		{-time.Hour + 10*time.Second, -time.Hour}, // goes on
		{30 * time.Second, -time.Hour},            // forward again
		{-48 * time.Hour, -48 * time.Hour},
		{40 * time.Second, -48 * time.Hour},
	} {
		taken := TakenExemplars{
			bucketKey{key, histogram.Index(1000)}: {At: pcommon.NewTimestampFromTime(start.Add(step.at))},
			bucketKey{key, histogram.Index(2000)}: {At: pcommon.NewTimestampFromTime(start.Add(step.at + time.Second))}, // of before the clock was set back
		}
		batches := b.Build(taken, start.Add(step.at))
		accept(b, batches)
		m := one(t, batches).ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
		for _, metric := range m.All() {
			var from, to pcommon.Timestamp
			var value, exemplars int
			switch metric.Type() {
			case pmetric.MetricTypeSum:
				p := metric.Sum().DataPoints().At(0)
				from, to, value, exemplars = p.StartTimestamp(), p.Timestamp(), int(p.IntValue()), 1
			default:
				p := metric.ExponentialHistogram().DataPoints().At(0)
				from, to, value, exemplars = p.StartTimestamp(), p.Timestamp(), int(p.Count()), p.Exemplars().Len()
			}
			if from.AsTime().Sub(start) != step.start || to.AsTime().Sub(start) != step.at || value != 2 || exemplars != 1 {
				t.Errorf("reading %d, %s: %d from %v to %v with %d exemplars, want 2 from %v to %v with 1", i, metric.Name(),
					value, from.AsTime().Sub(start), to.AsTime().Sub(start), exemplars, step.start, step.at)
			}
		}
	}
}

func accept(b *Builder, batches []Batch) {
	for _, batch := range batches {
		b.Done(batch, true)
	}
}
