// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"maps"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// many is a snapshot of so many series in each of so many groups, each of which
// has an exemplar.
func many(groups, each int) (*record.Snapshot, TakenExemplars) {
	s := &record.Snapshot{Groups: map[uint32]record.Group{}}
	store, named := NewExemplars(), sockopt.NamedOptions()
	for g := range groups {
		id := uint32(g + 1)
		s.Groups[id] = group(id, record.OriginServiceName, fmt.Sprintf("service-%05d", g), "shop")
		for i := range each {
			option := named[i%len(named)]
			key := record.SeriesKey{Group: id, Level: option.Level, Option: option.Code, Error: uint16(1 + i/len(named))}
			if i == 0 {
				key.Error, key.Pending = uint16(unix.ECONNREFUSED), true
			}
			s.Series = append(s.Series, series(key, 900, 1200, 5000))
			store.Put(Candidate{key, Exemplar{Duration: 900, At: 5, TraceID: pcommon.TraceID{1}}})
		}
	}
	return s, store.Take()
}

// Batches exceed their bound by two points at most. Together they have the points of a batch
// without a bound: each once, at one time, under its resource.
func TestBatchesAreBounded(t *testing.T) {
	const bound = 64 << 10
	for name, size := range map[string][2]int{"one resource": {1, 4000}, "many resources": {4000, 1}, "both": {60, 60}} {
		t.Run(name, func(t *testing.T) {
			s, exemplars := many(size[0], size[1])
			options := Options{Resource: resources(), Start: start, Enabled: all}
			build := func() []Batch {
				b := New(options)
				b.Add(s, 0)
				return b.Build(exemplars, at)
			}
			whole := one(t, build())
			options.MaxBytes = bound
			batches := build()
			var sizer pmetric.ProtoMarshaler
			if least := sizer.MetricsSize(whole) / bound; len(batches) < least || len(batches) > 2*least {
				t.Errorf("%d batches of %d bytes in all, want %d or a few more", len(batches), sizer.MetricsSize(whole), least)
			}
			got, back := map[string]int{}, TakenExemplars{}
			for i, b := range batches {
				if n := sizer.MetricsSize(b.Metrics); n > bound+2048 {
					t.Errorf("batch %d has %d bytes, want at most %d and two points", i, n, bound)
				}
				points(t, b.Metrics, got)
				maps.Copy(back, b.Exemplars)
			}
			want := map[string]int{}
			points(t, whole, want)
			if !maps.Equal(got, want) || len(want) <= 4*len(s.Series) {
				t.Errorf("%d points in batches, %d in one", len(got), len(want))
			}
			if !maps.Equal(back, exemplars) {
				t.Errorf("%d exemplars, want %d", len(back), len(exemplars))
			}
		})
	}
}

// points counts the points of each kind.
func points(t *testing.T, m pmetric.Metrics, to map[string]int) {
	t.Helper()
	for _, rm := range m.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, metric := range sm.Metrics().All() {
				under := fmt.Sprint(rm.Resource().Attributes().AsRaw(), sm.Scope().Name(), metric.Name(), metric.Unit(), metric.Description())
				switch metric.Type() {
				case pmetric.MetricTypeSum:
					for _, p := range metric.Sum().DataPoints().All() {
						to[fmt.Sprint(under, p.Attributes().AsRaw(), p.IntValue(), p.StartTimestamp(), p.Timestamp(), metric.Sum().IsMonotonic(), metric.Sum().AggregationTemporality())]++
					}
				case pmetric.MetricTypeExponentialHistogram:
					for _, p := range metric.ExponentialHistogram().DataPoints().All() {
						to[fmt.Sprint(under, p.Attributes().AsRaw(), p.Count(), p.Exemplars().Len(), p.StartTimestamp(), p.Timestamp(), metric.ExponentialHistogram().AggregationTemporality())]++
					}
				default:
					t.Errorf("%s has no points", metric.Name())
				}
			}
		}
	}
}
