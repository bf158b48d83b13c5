// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// maxExemplars bounds the exemplars that wait for the next collection, of about 64 bytes
// each.
const maxExemplars = 16384

// Exemplar is a call of a bucket, and its span.
type Exemplar struct {
	Duration uint64            // of the call, ns
	At       pcommon.Timestamp // end of the span
	TraceID  pcommon.TraceID
	SpanID   pcommon.SpanID
}

type bucketKey struct {
	series record.SeriesKey
	bucket int
}

// TakenExemplars is the result of [Exemplars.Take].
type TakenExemplars map[bucketKey]Exemplar

// Exemplars holds the newest exemplar of each bucket of each series since the last
// collection, 16384 at most. It is safe for concurrent use.
type Exemplars struct {
	mu      sync.Mutex
	pending TakenExemplars

	// Calls come in runs of one option, so most need no lookup.
	last, lastCounted sockopt.NumberedOption
}

// NewExemplars returns an empty store.
func NewExemplars() *Exemplars {
	return &Exemplars{pending: make(TakenExemplars), lastCounted: sockopt.NumberedOption{}.Counted()}
}

// Candidate is an exemplar, and the series of its call.
type Candidate struct {
	Series record.SeriesKey
	Exemplar
}

// Put adds the exemplars of calls whose spans were accepted by the next consumer: users can
// follow an exemplar only to such a span.
func (e *Exemplars) Put(calls ...Candidate) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range calls {
		e.put(calls[i].Series, calls[i].Exemplar)
	}
}

func (e *Exemplars) put(series record.SeriesKey, x Exemplar) {
	if option := (sockopt.NumberedOption{Level: series.Level, Code: series.Option}); option != e.last {
		e.last, e.lastCounted = option, option.Counted()
	}
	series.Level, series.Option = e.lastCounted.Level, e.lastCounted.Code
	key := bucketKey{series, histogram.Index(x.Duration)}
	if len(e.pending) >= maxExemplars {
		if _, found := e.pending[key]; !found {
			return
		}
	}
	e.pending[key] = x
}

// Take removes and returns all exemplars. Call it before taking the snapshot to which they
// belong: a call is counted before its span is sent.
func (e *Exemplars) Take() TakenExemplars {
	e.mu.Lock()
	defer e.mu.Unlock()
	taken := e.pending
	e.pending = make(TakenExemplars)
	return taken
}

// Return puts back exemplars of metrics that were not accepted, unless there are newer
// ones, or no space.
func (e *Exemplars) Return(taken TakenExemplars) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, x := range taken {
		if _, newer := e.pending[key]; !newer && len(e.pending) < maxExemplars {
			e.pending[key] = x
		}
	}
}

// pointExemplars are the exemplars of a point, of a bucket each. Most points have one or two,
// for which a map is large.
type pointExemplars []keyedExemplar

type keyedExemplar struct {
	Exemplar
	key bucketKey
}

// exemplarsByPoint returns exemplars by the point that has their call, the newest of each
// bucket. It leaves out those after the end of their point, because the wall clock was set
// back since, and those of calls that are in an overflow point.
func (b *Builder) exemplarsByPoint(taken TakenExemplars, end pcommon.Timestamp) map[*point]pointExemplars {
	points := make(map[*point]pointExemplars)
	for key, x := range taken {
		slot, found := b.slots[key.series]
		if !found || x.At > end {
			continue
		}
		p := slot.points[getsockoptDuration]
		if p.now.at(key.bucket) == 0 {
			continue
		}
		of := points[p]
		same := slices.IndexFunc(of, func(other keyedExemplar) bool { return other.key.bucket == key.bucket })
		switch {
		case same < 0:
			points[p] = append(of, keyedExemplar{x, key})
		case x.At >= of[same].At:
			of[same] = keyedExemplar{x, key}
		}
	}
	return points
}

// put writes the exemplars, oldest first: Prometheus drops an exemplar that is older than
// another one of the series.
func (e pointExemplars) put(to pmetric.ExemplarSlice, written TakenExemplars) {
	if len(e) == 0 {
		return
	}
	to.EnsureCapacity(len(e))
	slices.SortFunc(e, func(a, b keyedExemplar) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Duration, b.Duration))
	})
	for _, x := range e {
		out := to.AppendEmpty()
		out.SetTimestamp(x.At)
		out.SetDoubleValue(float64(x.Duration) / 1e9)
		out.SetTraceID(x.TraceID)
		out.SetSpanID(x.SpanID)
		written[x.key] = x.Exemplar
	}
}
