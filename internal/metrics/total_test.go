// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// totals must not change by folding.
type totals struct {
	calls, failed, errors uint64
	durations, failedDur  uint64
	buckets               [histogram.Buckets]uint64
	sum                   uint64 // ns
}

// TestFoldedPointsKeepTotals folds random snapshots. Many of their series differ only in a
// number that is no attribute. It compares the totals of the points with those of the series.
func TestFoldedPointsKeepTotals(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		s := randomSnapshot(random)
		want := totalsOf(s)
		kept := clone(s.Series)
		got := count(t, add(t, New(Options{Resource: resources(), Enabled: all}), s))
		if got != want {
			t.Fatalf("round %d: got %+v\nwant %+v", round, got, want)
		}
		if !reflect.DeepEqual(s.Series, kept) {
			t.Fatalf("round %d: the snapshot was written to", round)
		}
	}
}

func randomSnapshot(random *rand.Rand) *record.Snapshot {
	names := []string{"a", "b", "a%20b", "a b", ""}
	s := &record.Snapshot{Groups: map[uint32]record.Group{}}
	for id := range uint32(random.IntN(8)) {
		s.Groups[id+1] = group(id+1, record.Origin(1<<random.IntN(3)), names[random.IntN(len(names))], names[random.IntN(len(names))])
	}
	for range random.IntN(200) {
		series := record.Series{
			SeriesKey: record.SeriesKey{
				Group:  uint32(random.IntN(9)),
				Level:  []int32{unix.SOL_SOCKET, unix.SOL_TCP, -1}[random.IntN(3)],
				Option: []int32{unix.SO_ERROR, unix.SO_RCVTIMEO_OLD, unix.SO_RCVTIMEO_NEW, 999}[random.IntN(4)],
				Error:  []uint16{0, 0, uint16(unix.ENOPROTOOPT), uint16(unix.ECONNREFUSED)}[random.IntN(4)],
				Entry:  record.Entry(random.IntN(4)),
			},
			Overflow: random.IntN(20) == 0,
			Buckets:  make([]uint64, histogram.Buckets),
		}
		series.Pending = series.Error != 0 && random.IntN(2) == 0
		if series.Pending {
			series.Peer = []record.Peer{{}, peer(7, 80), peer(7, 443), peer(8, 80)}[random.IntN(4)]
		}
		for range random.IntN(4) {
			ns := uint64(math.Exp(random.Float64() * 26))
			series.Buckets[histogram.Index(ns)]++
			series.Sum += ns
		}
		s.Series = append(s.Series, series)
	}
	return s
}

func clone(series []record.Series) []record.Series {
	out := slices.Clone(series)
	for i := range out {
		out[i].Buckets = slices.Clone(out[i].Buckets)
	}
	return out
}

func totalsOf(s *record.Snapshot) (want totals) {
	for _, series := range s.Series {
		var n uint64
		for i, c := range series.Buckets {
			n += c
			want.buckets[i] += c
		}
		want.sum += series.Sum
		want.calls += n
		want.durations += n
		switch {
		case series.Pending:
			want.errors += n
		case series.Error != 0 && !series.Overflow && s.Groups[series.Group].ID != record.GroupOverflow:
			want.failed += n
			want.failedDur += n
		}
	}
	return want
}

// count adds up what was written, and checks what every point must be.
func count(t *testing.T, m pmetric.Metrics) (got totals) {
	t.Helper()
	var sum float64
	resources := map[string]bool{}
	for _, rm := range m.ResourceMetrics().All() {
		unique(t, resources, rm.Resource().Attributes())
		for _, metric := range rm.ScopeMetrics().At(0).Metrics().All() {
			points := map[string]bool{}
			if metric.Type() == pmetric.MetricTypeSum {
				for _, p := range metric.Sum().DataPoints().All() {
					if p.Timestamp() == p.StartTimestamp() && p.IntValue() == 0 {
						continue // precedes a new point
					}
					unique(t, points, p.Attributes())
					n := uint64(p.IntValue())
					if metric.Name() == "socket.errors" {
						got.errors += n
						continue
					}
					got.calls += n
					if _, failed := p.Attributes().Get("error.type"); failed {
						got.failed += n
					}
				}
				continue
			}
			for _, p := range metric.ExponentialHistogram().DataPoints().All() {
				if p.Timestamp() == p.StartTimestamp() && p.Count() == 0 {
					continue
				}
				unique(t, points, p.Attributes())
				var n uint64
				counts := p.Positive().BucketCounts().AsRaw()
				for i, c := range counts {
					n += c
					got.buckets[int(p.Positive().Offset())-histogram.Offset+i] += c
				}
				if n == 0 || n != p.Count() || p.ZeroCount() != 0 || p.HasMin() || p.HasMax() {
					t.Fatalf("count %d, buckets %v", p.Count(), counts)
				}
				if counts[0] == 0 || counts[len(counts)-1] == 0 {
					t.Fatalf("not trimmed: %v", counts)
				}
				sum += p.Sum()
				got.durations += n
				if _, failed := p.Attributes().Get("error.type"); failed {
					got.failedDur += n
				}
			}
		}
	}
	got.sum = uint64(math.Round(sum * 1e9))
	return got
}

func unique(t *testing.T, seen map[string]bool, attributes pcommon.Map) {
	t.Helper()
	key := ""
	for k, v := range attributes.All() {
		key += k + "=" + v.AsString() + ","
	}
	if seen[key] {
		t.Fatalf("twice: %s", key)
	}
	seen[key] = true
}

// The duration of a call may come in the snapshot after the call: it is in the sum then, of
// the point that has the call.
func TestDurationAfterItsCall(t *testing.T) {
	key := record.SeriesKey{Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_TYPE}
	late := func(key record.SeriesKey, overflow bool) record.Series {
		return record.Series{SeriesKey: key, Overflow: overflow, Sum: 500, Buckets: buckets()}
	}
	unknown := key
	unknown.Option = unix.SO_DEBUG
	c := collect(t, group(1, record.OriginServiceName, "a", ""))
	sums := make(map[string]uint64)
	add := func(s ...record.Series) {
		c.n++
		c.builder.Add(&record.Snapshot{Groups: c.groups, Series: s}, time.Duration(c.n)*10*time.Second)
		for _, batch := range c.builder.Build(nil, start.Add(time.Duration(c.n)*10*time.Second)) {
			eachPoint(batch.Metrics, func(id, _ string, _, _ pcommon.Timestamp, v value) {
				if v.count == 0 && v.sum != 0 {
					t.Errorf("%s has a sum without calls", id)
				}
				sums[id] = v.sum
			})
			c.builder.Done(batch, true)
		}
	}
	add(series(key, 1000), late(unknown, false), late(record.SeriesKey{Group: 1}, true))
	add(late(key, false))
	add(overflow(record.SeriesKey{Group: 1}, 2000))
	add(late(record.SeriesKey{Group: 1}, true))
	var total uint64
	for _, sum := range sums {
		total += sum
	}
	if want := uint64(1500 + 2500); total != want {
		t.Errorf("sums %v, want %d in all", sums, want)
	}
}
