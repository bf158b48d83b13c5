// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// maxExemplars bounds what waits for the next harvest, at about 64 bytes each.
const maxExemplars = 16384

// Exemplar is a call that stands for the others of its bucket, and the span
// that shows it.
type Exemplar struct {
	Duration uint64 // ns
	At       pcommon.Timestamp
	TraceID  pcommon.TraceID
	SpanID   pcommon.SpanID
}

type bucketKey struct {
	series record.SeriesKey
	bucket int
}

// TakenExemplars is what Exemplars.Take hands over.
type TakenExemplars map[bucketKey]Exemplar

// Exemplars holds the newest exemplar of each series' bucket since the last
// harvest. It may be used from several goroutines.
type Exemplars struct {
	mu   sync.Mutex
	held TakenExemplars
}

// NewExemplars returns an empty store.
func NewExemplars() *Exemplars { return &Exemplars{held: make(TakenExemplars)} }

// Put takes a call whose span was accepted by the next consumer: only such a
// span can be followed to.
func (e *Exemplars) Put(series record.SeriesKey, x Exemplar) {
	key := bucketKey{series, histogram.Index(x.Duration)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, found := e.held[key]; found || len(e.held) < maxExemplars {
		e.held[key] = x
	}
}

// Take hands over what is held. Take it before the snapshot that it goes with:
// a call is counted before its span is sent.
func (e *Exemplars) Take() TakenExemplars {
	e.mu.Lock()
	defer e.mu.Unlock()
	taken := e.held
	e.held = make(TakenExemplars)
	return taken
}

// Return gives back what was taken for metrics that nobody accepted. Newer ones
// stay.
func (e *Exemplars) Return(taken TakenExemplars) {
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.Copy(taken, e.held)
	e.held = taken
}

// byBucket is the exemplars of a series, and where each was held.
type byBucket map[int]heldExemplar

type heldExemplar struct {
	Exemplar
	key bucketKey
}

// bySeries sorts exemplars by what they belong to. It leaves out those that come
// after their point ends: the wall clock was set back since.
func bySeries(taken TakenExemplars, end pcommon.Timestamp) map[record.SeriesKey]byBucket {
	series := make(map[record.SeriesKey]byBucket)
	for key, x := range taken {
		if x.At > end {
			continue
		}
		if series[key.series] == nil {
			series[key.series] = make(byBucket)
		}
		series[key.series][key.bucket] = heldExemplar{x, key}
	}
	return series
}

// put writes one exemplar a bucket, oldest first: Prometheus drops an exemplar
// that is older than one it has of the series.
func (b byBucket) put(to pmetric.ExemplarSlice, written TakenExemplars) {
	to.EnsureCapacity(len(b))
	oldestFirst := slices.SortedFunc(maps.Values(b), func(a, b heldExemplar) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Duration, b.Duration))
	})
	for _, x := range oldestFirst {
		out := to.AppendEmpty()
		out.SetTimestamp(x.At)
		out.SetDoubleValue(float64(x.Duration) / 1e9)
		out.SetTraceID(x.TraceID)
		out.SetSpanID(x.SpanID)
		written[x.key] = x.Exemplar
	}
}
