// SPDX-License-Identifier: Apache-2.0

// Package metrics writes what the kernel counted as OpenTelemetry metrics.
// docs/semantics.md is the contract of what it writes.
package metrics

import (
	"cmp"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// ScopeName is the instrumentation scope of every metric.
const ScopeName = "github.com/getsockopt/getsockoptreceiver/receiver"

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
	// Resource describes what calls are counted under.
	Resource func(record.Group) *workload.Resource
}

// Builder turns snapshots into metrics. It is for one goroutine.
type Builder struct {
	options Options
	start   pcommon.Timestamp
	names   names
}

// New returns a builder for the snapshots of one probe.
func New(o Options) *Builder {
	return &Builder{options: o, start: pcommon.NewTimestampFromTime(o.Start), names: make(names)}
}

// Build writes a snapshot that was taken at the given time. The snapshot is
// only read. Equal snapshots give equal metrics, in the same order. Exemplars
// are what Exemplars.Take returned, or nil.
func (b *Builder) Build(s *record.Snapshot, exemplars TakenExemplars, at time.Time) pmetric.Metrics {
	resources := b.fold(s, exemplars)
	out := pmetric.NewMetrics()
	out.ResourceMetrics().EnsureCapacity(len(resources))
	// A clock that was set back may be before the start, where no point can end.
	w := writer{start: b.start, at: max(b.start, pcommon.NewTimestampFromTime(at)), enabled: b.options.Enabled}
	for _, f := range resources {
		if f.empty(b.options.Enabled) {
			continue
		}
		rm := out.ResourceMetrics().AppendEmpty()
		rm.SetSchemaUrl(workload.SchemaURL)
		putResource(rm.Resource().Attributes(), f.resource)
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.SetSchemaUrl(workload.SchemaURL)
		sm.Scope().SetName(ScopeName)
		sm.Scope().SetVersion(b.options.Version)
		w.write(sm.Metrics(), f)
	}
	return out
}

// fold brings the series of each resource together, in the order of the
// resources' ids. Groups that are one service fold into one: the kernel tells
// them apart by bytes that mean the same.
//
// A series whose group is not in the snapshot counts for the group of
// processes that found no group: its calls must not be lost.
func (b *Builder) fold(s *record.Snapshot, exemplars TakenExemplars) []*folded {
	exemplarsOf := bySeries(exemplars)
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
		find(series.Group).add(series, b.names, exemplarsOf[series.SeriesKey])
	}
	resources := make([]*folded, 0, len(byID))
	for _, f := range byID {
		resources = append(resources, f)
	}
	slices.SortFunc(resources, func(a, b *folded) int { return cmp.Compare(a.id, b.id) })
	return resources
}
