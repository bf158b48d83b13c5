// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/internal/pdatautil"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// Options says what goes into a span.
type Options struct {
	Version            string          // of the instrumentation scope
	ValuesEnabled      bool            // write option values
	PendingErrorStatus bool            // a pending error behind SO_ERROR sets the status to Error
	Expand             map[string]bool // options whose structures become attributes, by name
	Always             Always
}

// Always names the attributes that repeat what others of the span hold. One
// that is set stands on each span that it has a value for, one that is not only
// where no other attribute holds the same.
type Always struct {
	LevelCode        bool // socket.option.level_code
	Code             bool // socket.option.code
	Value            bool // socket.option.value
	ValueInt         bool // socket.option.value_int
	Entry            bool // socket.entry
	Family           bool // socket.family
	Type             bool // socket.type
	Protocol         bool // socket.protocol
	State            bool // socket.state
	Cookie           bool // socket.cookie
	NetworkNamespace bool // socket.network_namespace
}

// count returns how many are set.
func (a Always) count() (n int) {
	for _, set := range []bool{
		a.LevelCode, a.Code, a.Value, a.ValueInt, a.Entry, a.Family, a.Type, a.Protocol, a.State,
		a.Cookie, a.NetworkNamespace,
	} {
		if set {
			n++
		}
	}
	return n
}

// Builder gathers calls into one batch of spans. It is for one goroutine.
type Builder struct {
	options Options
	clock   int64 // wall clock minus CLOCK_MONOTONIC, ns

	extra int // attributes that options.Always adds to a span

	batch  ptrace.Traces
	length int
	bytes  int // at least what the batch takes when encoded
	images map[image]target
	// Calls come in runs of one process, so most need no lookup.
	last       image
	lastTarget target

	ids        ids
	names      sockopt.Names
	thresholds thresholds
	text       arena
}

// image is a process image as a batch shows it. What is known of one can grow
// within a batch, when its process record comes after its first call: the
// resource is then another, and the calls before keep theirs.
type image struct {
	process  record.ProcessKey
	resource *workload.Resource
}

// target is where the spans of an image go.
type target struct {
	spans            ptrace.SpanSlice
	networkNamespace int64 // that the resource names, 0 if it names none
}

// New returns a builder with an empty batch.
func New(o Options) *Builder {
	return &Builder{
		options:    o,
		batch:      ptrace.NewTraces(),
		extra:      o.Always.count(),
		images:     make(map[image]target),
		ids:        newIDs(),
		thresholds: make(thresholds),
	}
}

// SetClock sets what turns a record's time into wall-clock time: the wall
// clock minus CLOCK_MONOTONIC, in nanoseconds. Set it for each batch, since
// the wall clock is adjusted and the other is not.
func (b *Builder) SetClock(wallMinusMono int64) { b.clock = wallMinusMono }

// Len returns the number of spans in the batch.
func (b *Builder) Len() int { return b.length }

// Take hands the batch over and begins a new one.
func (b *Builder) Take() ptrace.Traces {
	batch := b.batch
	b.batch = ptrace.NewTraces()
	b.length, b.bytes = 0, 0
	clear(b.images)
	b.last, b.lastTarget = image{}, target{}
	return batch
}

// Fits reports whether the batch stays within so many encoded bytes when a call
// is added to it. An empty batch takes any call.
func (b *Builder) Fits(c *record.Call, r *workload.Resource, bytes int) bool {
	if b.length == 0 {
		return true
	}
	size := b.bytes + spanBytes + escaped*len(c.Value)
	if r != nil && b.last != (image{process: c.Process, resource: r}) {
		size += resourceBytes(r)
	}
	return size <= bytes
}

// Add appends a call to the batch as a span, and says which one. The resource
// is the calling process's, nil while its record has not come. Nothing of the
// call is kept.
func (b *Builder) Add(c *record.Call, r *workload.Resource) SpanReference {
	to := b.target(c, r)
	s := to.spans.AppendEmpty()
	b.span(s, c, to.networkNamespace)
	b.length++
	return SpanReference{TraceID: s.TraceID(), SpanID: s.SpanID(), End: s.EndTimestamp()}
}

// SpanReference names a span, for an exemplar to point at.
type SpanReference struct {
	TraceID pcommon.TraceID
	SpanID  pcommon.SpanID
	End     pcommon.Timestamp
}

// target returns where the spans of the call's process go.
func (b *Builder) target(c *record.Call, r *workload.Resource) target {
	key := image{process: c.Process, resource: r}
	if key == b.last && b.length > 0 {
		return b.lastTarget
	}
	to, found := b.images[key]
	if !found {
		if r == nil {
			r = workload.FromCall(c)
		}
		b.bytes += resourceBytes(r)
		rs := b.batch.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl(workload.SchemaURL)
		pdatautil.PutResource(rs.Resource().Attributes(), r)
		ss := rs.ScopeSpans().AppendEmpty()
		ss.SetSchemaUrl(workload.SchemaURL)
		pdatautil.PutScope(ss.Scope(), b.options.Version)
		to = target{spans: ss.Spans(), networkNamespace: networkNamespace(r)}
		b.images[key] = to
	}
	b.last, b.lastTarget = key, to
	return to
}
