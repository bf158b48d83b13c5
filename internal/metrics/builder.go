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

// Enabled selects the metrics to write.
type Enabled struct {
	Calls    bool // socket.getsockopt.calls
	Duration bool // socket.getsockopt.duration
	Errors   bool // socket.errors
}

// Options are the options of a [Builder].
type Options struct {
	Version string    // of the instrumentation scope
	Start   time.Time // when the probe began to count: the start of every point
	Enabled Enabled
	// MaxBytes is the size of the encoded batch, in bytes, from which the next one begins;
	// 0 is no limit. A batch exceeds it by one point and one resource at most.
	MaxBytes int
	// Resource returns the resource of a group. Build calls it.
	Resource func(record.Group) *workload.Resource
}

// Builder converts snapshots to metrics. It is not safe for concurrent use.
type Builder struct {
	options Options
	start   pcommon.Timestamp
	names   sockopt.Names
}

// New returns a builder for the snapshots of one probe.
func New(o Options) *Builder {
	return &Builder{options: o, start: pcommon.NewTimestampFromTime(o.Start)}
}

// Batch is the metrics of one request, and the exemplars that they contain.
type Batch struct {
	Metrics   pmetric.Metrics
	Exemplars TakenExemplars
}

// Build converts a snapshot that was taken at the given time to as many batches as its
// size needs, none if there are no points. It does not change the snapshot. Equal
// snapshots give equal metrics, in the same order. exemplars is the result of
// Exemplars.Take, or nil.
func (b *Builder) Build(s *record.Snapshot, exemplars TakenExemplars, at time.Time) []Batch {
	end := pcommon.NewTimestampFromTime(at)
	// If the wall clock was set back to before the start, a new sequence of points begins.
	// Its first points have no duration, which in OpenTelemetry means that the numbers
	// were counted before: rates do not jump.
	b.start = min(b.start, end)
	w := writer{start: b.start, at: end, options: &b.options}
	for _, f := range b.fold(s, groupBySeries(exemplars, end)) {
		w.write(f)
	}
	return w.batches
}

// fold adds up the series of each resource, in the order of the resources' ids. Groups of
// the same service become one resource: the BPF programs distinguish them by encodings
// that mean the same.
//
// A series whose group is not in the snapshot is added to the overflow group, so that its
// calls are not lost.
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
