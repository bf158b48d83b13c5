// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
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

func (e Enabled) has(m metric) bool {
	return [metricCount]bool{e.Errors, e.Calls, e.Duration}[m]
}

// Options are the options of a [Builder].
type Options struct {
	Version string    // of the instrumentation scope
	Start   time.Time // when the probe began to count: the start of the first points
	Enabled Enabled
	// Expiration is how long a point is sent after its last call; 0 is for ever.
	Expiration time.Duration
	// MaxBytes is the size of the encoded batch, in bytes, from which the next one begins;
	// 0 is no limit. A batch exceeds it by two points and one resource at most.
	MaxBytes int
	// Resource returns the resource of a group. Add calls it.
	Resource func(record.Group) *workload.Resource
}

// Builder adds up the calls of snapshots in points, and converts these to metrics. A point
// lives from its first call until it expires, or until no series of the kernel counts into
// it: so it needs no more points than the kernel has slots, and one overflow point for each
// group. It is not safe for concurrent use.
type Builder struct {
	options Options
	names   sockopt.Names

	resources map[string]*resource
	groups    map[uint32]*kernelGroup
	slots     map[record.SeriesKey]*slot
	unnamed   *resource // without attributes: of the host, of no container, and of GroupOverflow

	snapshot uint64        // the number of snapshots that were added
	uptime   time.Duration // at the last one
	built    time.Time     // the time of the last batches, zero before the first
	calls    Calls
}

// Calls are the calls of socket.getsockopt.calls.
type Calls struct {
	Sent    uint64 // in the points that are sent
	Expired uint64 // in points that are no longer sent; the consumer had accepted them
	Moved   uint64 // in an overflow point because their series had lost its slot before they were accepted
}

// kernelGroup is a group of the kernel.
type kernelGroup struct {
	of    *resource // nil before its first call
	last  time.Duration
	slots int
	ended bool
}

// slot is a series of the kernel, which counts into a point of each metric.
type slot struct {
	group  *kernelGroup
	points [metricCount]*point // nil in socketErrors, unless the calls returned a pending error

	changed uint64 // the snapshot of the last call
	last    time.Duration
}

// New returns a builder for the snapshots of one probe.
func New(o Options) *Builder {
	unnamed := newResource("", &workload.Resource{})
	unnamed.groups = 1 // GroupOverflow, which never goes
	return &Builder{
		options:   o,
		resources: map[string]*resource{unnamed.id: unnamed},
		groups:    make(map[uint32]*kernelGroup),
		slots:     make(map[record.SeriesKey]*slot),
		unnamed:   unnamed,
	}
}

// Calls returns what became of the calls of all snapshots. Calls that are in none of its
// numbers are in a batch that is under way.
func (b *Builder) Calls() Calls { return b.calls }

// Add adds the calls of a snapshot. uptime is a time that does not jump when the wall clock
// is set. It does not change the snapshot.
func (b *Builder) Add(s *record.Snapshot, uptime time.Duration) {
	b.snapshot++
	b.uptime = uptime
	for id := range s.Groups {
		if b.groups[id] == nil {
			b.groups[id] = &kernelGroup{last: uptime}
		}
	}
	for i := range s.Series {
		b.count(&s.Series[i], s.Groups)
	}
	for _, key := range s.Evicted {
		if slot, found := b.slots[key]; found {
			slot.group.last = uptime
			b.release(key, slot)
		}
	}
	for _, id := range s.EndedGroups {
		if g := b.groups[id]; g != nil && !g.ended {
			g.ended = true
			if g.of != nil {
				g.of.ended++
			}
		}
	}
	b.forgetGroups(s)
}

// count adds a series. One whose group is not in the snapshot counts as overflow, so that its
// calls are not lost. One without calls has the duration of calls that came before: the kernel
// counts a call, and then its duration.
func (b *Builder) count(s *record.Series, groups map[uint32]record.Group) {
	first, used := histogram.Trim(s.Buckets)
	count := value{sum: s.Sum, first: s.First + first, buckets: used}
	for _, n := range used {
		count.count += n
	}
	if count.count == 0 && count.sum == 0 {
		return
	}
	g := b.groups[s.Group]
	if g == nil {
		b.overflow(b.unnamed, count, s.Pending)
		return
	}
	g.last = b.uptime
	if g.of == nil {
		b.describe(g, groups[s.Group])
	}
	if s.Overflow {
		b.overflow(g.of, count, s.Pending)
		return
	}
	of, found := b.slots[s.SeriesKey]
	if !found {
		if count.count == 0 {
			return
		}
		of = b.newSlot(g, s)
	}
	of.changed, of.last = b.snapshot, b.uptime
	b.calls.Sent += count.count
	for m, p := range of.points {
		if p != nil {
			p.add(count.of(metric(m)), b.snapshot)
		}
	}
}

// of returns the part of a value that a metric has.
func (v value) of(m metric) value {
	if m != getsockoptDuration {
		return value{count: v.count}
	}
	return v
}

func (b *Builder) describe(g *kernelGroup, named record.Group) {
	resource := b.options.Resource(named)
	id := resource.ID()
	of, found := b.resources[id]
	if !found {
		of = newResource(id, resource)
		b.resources[id] = of
	}
	g.of = of
	of.groups++
	if g.ended {
		of.ended++
	}
}

func (b *Builder) newSlot(g *kernelGroup, s *record.Series) *slot {
	of := &slot{group: g}
	for m, key := range keysOf(s, &b.names) {
		if metric(m) == socketErrors && !s.Pending {
			continue
		}
		of.points[m] = g.of.point(metric(m), key)
		of.points[m].slots++
	}
	g.slots++
	b.slots[s.SeriesKey] = of
	return of
}

// overflow adds calls to the overflow points of a resource.
func (b *Builder) overflow(r *resource, calls value, pending bool) {
	b.addOverflow(r, getsockoptCalls, calls)
	b.addOverflow(r, getsockoptDuration, calls)
	if pending {
		b.addOverflow(r, socketErrors, calls)
	}
}

func (b *Builder) addOverflow(r *resource, m metric, calls value) {
	if r.groups == 0 {
		r = b.unnamed
	}
	key := pointKey{overflow: true}
	if calls.count == 0 && (calls.sum == 0 || r.points[m][key] == nil) {
		return
	}
	p := r.point(m, key)
	p.add(calls.of(m), b.snapshot)
	p.last = b.uptime
	if m == getsockoptCalls {
		b.calls.Sent += calls.count
	}
}

// Batch is the metrics of one request, and the exemplars that they contain.
type Batch struct {
	Metrics   pmetric.Metrics
	Exemplars TakenExemplars

	points   []*point
	snapshot uint64
}

// Build converts the points to as many batches as their size needs, none if there are no
// points. Equal snapshots give equal metrics, in the same order. exemplars is the result of
// Exemplars.Take, or nil; at is the wall-clock time. Each batch must be passed to Done before
// Build or Expire is called again.
func (b *Builder) Build(exemplars TakenExemplars, at time.Time) []Batch {
	start, at := b.times(at.Round(0)) // without the clock that Go compares instead
	w := writer{
		snapshot:  b.snapshot,
		start:     start,
		at:        pcommon.NewTimestampFromTime(at),
		options:   &b.options,
		exemplars: b.exemplarsByPoint(exemplars, pcommon.NewTimestampFromTime(at)),
	}
	resources := make([]*resource, 0, len(b.resources))
	for _, r := range b.resources {
		resources = append(resources, r)
	}
	slices.SortFunc(resources, func(a, b *resource) int { return cmp.Compare(a.id, b.id) })
	for _, r := range resources {
		w.write(r)
	}
	b.built = at
	return w.batches
}

// resolution is that of the times in Prometheus.
const resolution = time.Millisecond

// times returns the start of new points and the time of all points. A new point starts after
// every time that was sent: a point with its attributes may have expired meanwhile. Only
// when the wall clock was set back is that not possible.
func (b *Builder) times(at time.Time) (start pcommon.Timestamp, time time.Time) {
	from := b.options.Start
	if !b.built.IsZero() {
		from = b.built.Add(resolution)
		if earliest := from.Add(resolution); at.Before(earliest) && !at.Before(b.built) {
			at = earliest
		}
	}
	if latest := at.Add(-resolution); latest.Before(from) {
		from = latest
	}
	return pcommon.NewTimestampFromTime(from), at
}

// Done notes whether the next consumer has accepted a batch.
func (b *Builder) Done(batch Batch, accepted bool) {
	for _, p := range batch.points {
		p.sending = false
		switch {
		case p.removed && accepted:
			b.expired(p, p.sent)
		case p.removed:
			b.expired(p, p.accepted)
			b.move(p, p.sent.minus(p.accepted))
		case accepted:
			p.accept(p.sent, batch.snapshot)
		}
		p.sent = value{}
	}
}

// AcceptAll accepts all points, where nobody takes the metrics.
func (b *Builder) AcceptAll() {
	for _, r := range b.resources {
		for _, points := range r.points {
			for _, p := range points {
				p.accept(p.now, b.snapshot)
			}
		}
	}
}
