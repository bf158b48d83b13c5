// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// Enabled says which metrics are written.
type Enabled struct {
	Calls    bool // socket.getsockopt.calls
	Duration bool // socket.getsockopt.duration
	Errors   bool // socket.errors
}

// Options says what a builder writes.
type Options struct {
	Version string    // of the instrumentation scope
	Start   time.Time // when the probe began to count: the start of every point
	Enabled Enabled
	// MaxBytes ends a batch, once it is encoded so large; 0 for no bound.
	MaxBytes int
	// Resource describes what calls are counted under.
	Resource func(record.Group) *workload.Resource
}

// Builder turns snapshots into metrics. It is for one goroutine.
type Builder struct {
	options Options
	start   pcommon.Timestamp
	names   sockopt.Names
}

// New returns a builder for the snapshots of one probe.
func New(o Options) *Builder {
	return &Builder{options: o, start: pcommon.NewTimestampFromTime(o.Start)}
}

// Batch is what goes into one request, and the exemplars that are in it.
type Batch struct {
	Metrics   pmetric.Metrics
	Exemplars TakenExemplars
}

// Build writes a snapshot that was taken at the given time, in as many batches
// as its size needs. The snapshot is only read. Equal snapshots give equal
// metrics, in the same order. Exemplars are what Exemplars.Take returned, or nil.
func (b *Builder) Build(s *record.Snapshot, exemplars TakenExemplars, at time.Time) []Batch {
	end := pcommon.NewTimestampFromTime(at)
	// The wall clock was set back, to before all points: a new sequence begins.
	// Its first points have no duration, which in OpenTelemetry means that their
	// numbers were counted before, so that no rate jumps.
	b.start = min(b.start, end)
	w := writer{start: b.start, at: end, options: &b.options}
	for _, f := range b.fold(s, bySeries(exemplars, end)) {
		w.write(f)
	}
	return w.batches
}

// fold brings the series of each resource together, in the order of the
// resources' ids. Groups that are one service fold into one: the kernel tells
// them apart by bytes that mean the same.
//
// A series whose group is not in the snapshot counts for the group of
// processes that found no group: its calls must not be lost.
func (b *Builder) fold(s *record.Snapshot, exemplars map[record.SeriesKey]byBucket) []*folded {
	byID := make(map[string]*folded)
	byGroup := make(map[uint32]*folded, len(s.Groups))
	find := func(group uint32) *folded {
		if f, found := byGroup[group]; found {
			return f
		}
		resource := b.options.Resource(s.Groups[group])
		id := resource.ID()
		f, found := byID[id]
		if !found {
			f = newFolded(id, resource)
			byID[id] = f
		}
		byGroup[group] = f
		return f
	}
	for i := range s.Series {
		series := &s.Series[i]
		find(series.Group).add(series, &b.names, exemplars[series.SeriesKey])
	}
	resources := make([]*folded, 0, len(byID))
	for _, f := range byID {
		resources = append(resources, f)
	}
	slices.SortFunc(resources, func(a, b *folded) int { return cmp.Compare(a.id, b.id) })
	return resources
}
