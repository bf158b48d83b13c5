// SPDX-License-Identifier: Apache-2.0

// Package traces writes calls as OpenTelemetry spans. docs/semantics.md is the
// contract of what it writes.
package traces

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// ScopeName is the instrumentation scope of every span.
const ScopeName = "github.com/getsockopt/getsockoptreceiver/receiver"

// Options says what goes into a span.
type Options struct {
	Version            string          // of the instrumentation scope
	ValuesEnabled      bool            // write option values
	PendingErrorStatus bool            // a pending error behind SO_ERROR sets the status to Error
	Expand             map[string]bool // options whose structures become attributes, by name
}

// Builder gathers calls into one batch of spans. It is for one goroutine.
type Builder struct {
	options Options
	clock   int64 // wall clock minus CLOCK_MONOTONIC, ns

	batch  ptrace.Traces
	length int
	images map[image]ptrace.SpanSlice
	// Calls come in runs of one process, so most need no lookup.
	last      image
	lastSpans ptrace.SpanSlice

	ids        ids
	names      names
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

// New returns a builder with an empty batch.
func New(o Options) *Builder {
	return &Builder{
		options:    o,
		batch:      ptrace.NewTraces(),
		images:     make(map[image]ptrace.SpanSlice),
		ids:        newIDs(),
		names:      make(names),
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
	b.length = 0
	clear(b.images)
	b.last, b.lastSpans = image{}, ptrace.SpanSlice{}
	return batch
}

// Add appends a call to the batch as a span, and says which one. The resource
// is the calling process's, nil while its record has not come. Nothing of the
// call is kept.
func (b *Builder) Add(c *record.Call, r *workload.Resource) SpanReference {
	s := b.spans(c, r).AppendEmpty()
	b.span(s, c)
	b.length++
	return SpanReference{TraceID: s.TraceID(), SpanID: s.SpanID(), End: s.EndTimestamp()}
}

// SpanReference names a span, for an exemplar to point at.
type SpanReference struct {
	TraceID pcommon.TraceID
	SpanID  pcommon.SpanID
	End     pcommon.Timestamp
}

// spans returns where the spans of the call's process go.
func (b *Builder) spans(c *record.Call, r *workload.Resource) ptrace.SpanSlice {
	key := image{process: c.Process, resource: r}
	if key == b.last && b.length > 0 {
		return b.lastSpans
	}
	spans, found := b.images[key]
	if !found {
		if r == nil {
			r = workload.FromCall(c)
		}
		rs := b.batch.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl(workload.SchemaURL)
		putResource(rs.Resource().Attributes(), r)
		ss := rs.ScopeSpans().AppendEmpty()
		ss.SetSchemaUrl(workload.SchemaURL)
		ss.Scope().SetName(ScopeName)
		ss.Scope().SetVersion(b.options.Version)
		spans = ss.Spans()
		b.images[key] = spans
	}
	b.last, b.lastSpans = key, spans
	return spans
}
