// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"math"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
)

// backend keeps the points that it accepts as a time series database does, and checks what
// every point must be.
type backend struct {
	t      *testing.T
	steps  bool // the wall clock is set back now and then: starts cannot follow all times
	series map[string]*stored
	sent   map[string]*attempts
}

// attempts are the times with which an identity was sent, whether accepted or not.
type attempts struct {
	start, latest pcommon.Timestamp
	before        pcommon.Timestamp // the latest with an earlier start
}

type stored struct {
	metric    string
	start, at pcommon.Timestamp
	last      value
	alive     bool // in the last collection
	ended     totals
}

func newBackend(t *testing.T, steps bool) *backend {
	return &backend{t: t, steps: steps, series: map[string]*stored{}, sent: map[string]*attempts{}}
}

// collection begins a collection.
func (b *backend) collection() {
	for _, s := range b.series {
		s.alive = false
	}
}

// eachPoint calls f for each point, in order.
func eachPoint(m pmetric.Metrics, f func(id, metric string, start, at pcommon.Timestamp, v value)) {
	for _, rm := range m.ResourceMetrics().All() {
		resource := fmt.Sprint(rm.Resource().Attributes().AsRaw())
		for _, metric := range rm.ScopeMetrics().At(0).Metrics().All() {
			id := func(a pcommon.Map) string {
				id := resource + metric.Name()
				for k, v := range a.All() {
					id += " " + k + "=" + v.AsString()
				}
				return id
			}
			if metric.Type() == pmetric.MetricTypeSum {
				for _, p := range metric.Sum().DataPoints().All() {
					f(id(p.Attributes()), metric.Name(), p.StartTimestamp(), p.Timestamp(), value{count: uint64(p.IntValue())})
				}
				continue
			}
			for _, p := range metric.ExponentialHistogram().DataPoints().All() {
				v := value{
					count: p.Count(), sum: uint64(math.Round(p.Sum() * 1e9)),
					first: int(p.Positive().Offset()) - histogram.Offset, buckets: p.Positive().BucketCounts().AsRaw(),
				}
				f(id(p.Attributes()), metric.Name(), p.StartTimestamp(), p.Timestamp(), v)
			}
		}
	}
}

// offer is a request, which the backend accepts or refuses.
func (b *backend) offer(m pmetric.Metrics, accepted bool) {
	eachPoint(m, func(id, metric string, start, at pcommon.Timestamp, v value) {
		if start > at {
			b.t.Fatalf("%s starts at %d, after %d", id, start, at)
		}
		s := b.series[id]
		if first := v.count == 0; first && start != at {
			b.t.Fatalf("%s is 0 at %d, and started at %d", id, at, start)
		}
		if accepted {
			b.store(s, id, metric, start, at, v)
		}
		b.attempt(id, start, at)
	})
}

// attempt checks that a point starts after every time that was sent with its attributes.
func (b *backend) attempt(id string, start, at pcommon.Timestamp) {
	sent := b.sent[id]
	if sent == nil {
		sent = &attempts{start: start}
		b.sent[id] = sent
	}
	if start != sent.start {
		sent.start, sent.before = start, max(sent.before, sent.latest)
	}
	sent.latest = max(sent.latest, at)
	if start <= sent.before && !b.steps {
		b.t.Fatalf("%s starts at %d, and was sent with %d", id, start, sent.before)
	}
}

func (b *backend) store(s *stored, id, metric string, start, at pcommon.Timestamp, v value) {
	switch {
	case s == nil:
		if v.count != 0 {
			b.t.Fatalf("%s begins with %d", id, v.count)
		}
		s = &stored{metric: metric}
		b.series[id] = s
	// A clock that was set back begins a sequence of which the start is not known.
	case s.start == start, v.count > 0 && (start == at || b.steps && start < s.start):
		for i := range histogram.Buckets {
			if v.at(i) < s.last.at(i) {
				b.t.Fatalf("%s: bucket %d falls from %d to %d", id, i, s.last.at(i), v.at(i))
			}
		}
		if v.count < s.last.count || v.sum < s.last.sum {
			b.t.Fatalf("%s falls from %+v to %+v", id, s.last, v)
		}
		if at <= s.at && !b.steps {
			b.t.Fatalf("%s: %d follows %d", id, at, s.at)
		}
	default:
		if v.count != 0 || start <= s.at && !b.steps {
			b.t.Fatalf("%s begins again at %d with %d, after %d", id, start, v.count, s.at)
		}
		s.ended.include(s.last, metric)
	}
	s.start, s.at, s.last, s.alive = start, at, v, true
}

func (t *totals) include(v value, metric string) {
	switch metric {
	case "socket.errors":
		t.errors += v.count
	case "socket.getsockopt.calls":
		t.calls += v.count
	default:
		t.durations += v.count
		t.sum += v.sum
		for i, n := range v.buckets {
			t.buckets[v.first+i] += n
		}
	}
}

// totals returns what was accepted in all, and the calls of points that were not in the last
// collection.
func (b *backend) totals() (all totals, gone uint64) {
	for _, s := range b.series {
		all.include(s.last, s.metric)
		all.calls += s.ended.calls
		all.errors += s.ended.errors
		all.durations += s.ended.durations
		all.sum += s.ended.sum
		for i, n := range s.ended.buckets {
			all.buckets[i] += n
		}
		gone += s.ended.calls
		if !s.alive && s.metric == "socket.getsockopt.calls" {
			gone += s.last.count
		}
	}
	return all, gone
}
