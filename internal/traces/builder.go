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

// Options are the options of a [Builder].
type Options struct {
	Version            string          // of the instrumentation scope
	ValuesEnabled      bool            // write option values
	PendingErrorStatus bool            // a pending error behind SO_ERROR sets the status to Error
	Expand             map[string]bool // options whose structures become attributes, by name
	Always             Always          // attributes to write even if redundant
	SampledParents     bool            // only a parent that is sampled, as far as its source tells, makes a child
}

// Always selects attributes that may be redundant. An attribute that is set is on every
// span that has a value for it. One that is not set is left out of spans where other
// attributes contain the same.
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

// Builder collects calls in a batch of spans. It is not safe for concurrent use.
type Builder struct {
	options Options
	clock   int64 // wall clock minus CLOCK_MONOTONIC, ns

	extra int // attributes that options.Always adds to a span

	batch  ptrace.Traces
	length int
	bytes  int // upper bound of the encoded size of the batch
	images map[image]target
	// Calls come in runs of one process, so most need no lookup.
	last       image
	lastTarget target

	ids        ids
	names      sockopt.Names
	thresholds thresholds
	text       arena
	attrs      attributes // of the span that is being written
}

// image is a process image with its resource. An image can have two resources in a batch,
// if its process record comes after its first call: earlier calls keep the first one.
type image struct {
	process  record.ProcessKey
	resource *workload.Resource
}

// target is where the spans of an image are appended.
type target struct {
	spans            ptrace.SpanSlice
	networkNamespace int64 // of the resource, 0 if it has none
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

// SetClock sets the difference between the wall clock and CLOCK_MONOTONIC, in nanoseconds,
// with which times of records become wall-clock times. It must be set for each batch,
// because the wall clock may be set.
func (b *Builder) SetClock(wallMinusMono int64) { b.clock = wallMinusMono }

// Len returns the number of spans in the batch.
func (b *Builder) Len() int { return b.length }

// Take returns the batch and begins a new one.
func (b *Builder) Take() ptrace.Traces {
	batch := b.batch
	b.batch = ptrace.NewTraces()
	b.length, b.bytes = 0, 0
	clear(b.images)
	b.last, b.lastTarget = image{}, target{}
	return batch
}

// Fits reports whether the encoded batch has at most so many bytes after a call is added
// to it. It reports true for an empty batch.
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

// Add appends a call to the batch as a span, and returns a reference to the span. r is the
// resource of the calling process, nil if its process record has not arrived. Add does not
// keep the call.
func (b *Builder) Add(c *record.Call, r *workload.Resource) SpanReference {
	to := b.target(c, r)
	s := to.spans.AppendEmpty()
	b.span(s, c, to.networkNamespace)
	b.length++
	reference := SpanReference{TraceID: s.TraceID(), SpanID: s.SpanID(), End: s.EndTimestamp()}
	if !s.ParentSpanID().IsEmpty() {
		reference.Parent = c.Parent.Source
	}
	return reference
}

// SpanReference identifies a span, for exemplars, and tells whether it has a parent.
type SpanReference struct {
	TraceID pcommon.TraceID
	SpanID  pcommon.SpanID
	End     pcommon.Timestamp
	Parent  record.ParentSource // where its parent was found
}

// target returns where to append the span of a call.
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
