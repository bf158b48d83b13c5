// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// Flags of spans: the W3C trace flags, and above them those of OTLP.
const (
	flagSampled     = 0x01
	flagRandom      = 0x02  // the low seven bytes of the trace id are random
	flagHasIsRemote = 0x100 // it is known whether the parent is remote: SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
)

// span writes a call. networkNamespace is the one of the resource.
func (b *Builder) span(s ptrace.Span, c *record.Call, networkNamespace int64) {
	where := sockopt.Where{Compat: c.Has(record.FlagCompat)}
	if c.Has(record.FlagSocket) {
		where.Family = c.Socket.Family
	}
	name := b.names.Of(c.Level, c.Option, where)

	s.SetName(name.Call)
	s.SetKind(ptrace.SpanKindInternal)
	start := int64(c.Start) + b.clock
	s.SetStartTimestamp(pcommon.Timestamp(start))
	s.SetEndTimestamp(pcommon.Timestamp(start + int64(c.Duration)))
	if b.hasParent(&c.Parent) {
		b.child(s, c)
	} else {
		s.SetTraceID(b.ids.trace(c.Randomness))
		s.SetFlags(flagSampled | flagRandom)
		s.TraceState().FromRaw(b.thresholds.state(c.Threshold))
	}
	s.SetSpanID(b.ids.span())

	failed := c.Return < 0
	pending := !failed && c.Has(record.FlagPendingError)
	// No message: the conventions do not want one that only repeats error.type.
	if failed || pending && b.options.PendingErrorStatus {
		s.Status().SetCode(ptrace.StatusCodeError)
	}

	before := b.text.written
	texts := b.attributes(c, name, where, networkNamespace)
	b.attrs.moveTo(s.Attributes())
	b.bytes += spanBytes + texts + b.text.written - before
}

// hasParent reports whether the span that was active in the program becomes the parent.
// Programs write no flags while they have not decided, so without the option a span that is
// not sampled does.
func (b *Builder) hasParent(p *record.Parent) bool {
	switch p.Source {
	case record.SourceNone:
		return false
	case record.SourceThreadContext: // the only source that has flags
		return !b.options.SampledParents || p.Flags&flagSampled != 0
	}
	return true
}

// child makes the span a child of its parent, which runs in the same process. The trace id
// is then not the randomness with which the call was sampled. A later sampler would take it
// for that, so a threshold comes with the randomness. Threshold 0 holds for any randomness:
// later samplers then decide about the span as about the rest of its trace.
func (b *Builder) child(s ptrace.Span, c *record.Call) {
	s.SetTraceID(c.Parent.TraceID)
	s.SetParentSpanID(c.Parent.SpanID)
	s.SetFlags(flagSampled | uint32(c.Parent.Flags)&flagRandom | flagHasIsRemote)
	state := b.thresholds.state(c.Threshold)
	if c.Threshold != 0 {
		state = withRandomness(state, c.Randomness)
	}
	s.TraceState().FromRaw(state)
}

// attributes writes the attributes of a call, and returns the bytes of the texts that are
// neither in the arena nor included in spanBytes.
func (b *Builder) attributes(c *record.Call, name *sockopt.Name, where sockopt.Where, networkNamespace int64) (texts int) {
	failed := c.Return < 0
	secret := name.Option.Secret
	hasValue := !failed && b.options.ValuesEnabled && (secret || c.Has(record.FlagValue))
	var fields []sockopt.Field
	if hasValue && !secret && b.options.Expand[name.Option.Name] {
		fields = sockopt.Expand(name.Option, c.Value, valueLength(c))
	}
	a, always := &b.attrs, &b.options.Always
	a.ensureCapacity(attributesOf(c, name) + b.extra + len(fields))
	a.putStr(semconv.SocketOptionLevel, name.Level)
	if always.LevelCode || !name.LevelNamed {
		a.putInt(semconv.SocketOptionLevelCode, int64(c.Level))
	}
	a.putStr(semconv.SocketOptionName, name.Option.Name)
	if always.Code || !name.OptionNamed {
		a.putInt(semconv.SocketOptionCode, int64(c.Option))
	}

	if hasValue {
		texts += b.value(a, c, name.Option, where)
	}
	// The kernel interprets the length as an int, and rejects one below 0.
	if c.Has(record.FlagLengthIn) {
		a.putInt(semconv.SocketOptionLengthIn, int64(int32(c.LengthIn)))
	}
	if c.Has(record.FlagLengthOut) {
		a.putInt(semconv.SocketOptionLengthOut, int64(int32(c.LengthOut)))
	}

	a.putInt(semconv.SyscallReturnValue, int64(c.Return))
	switch {
	case failed:
		a.putStr(semconv.ErrorType, sockopt.ErrorType(-c.Return))
	case c.Has(record.FlagPendingError):
		a.putStr(semconv.ErrorType, sockopt.ErrorType(c.Error))
	}

	if always.Entry || c.Entry != record.EntrySyscall {
		a.putStr(semconv.SocketEntry, c.Entry.String())
	}
	if !c.Has(record.FlagNoDescriptor) {
		a.putInt(semconv.SocketFD, int64(c.FD))
	}
	if c.Has(record.FlagSocket) {
		b.socket(a, c, networkNamespace)
	}

	a.putInt(semconv.ThreadID, int64(c.ThreadID))
	if len(c.Comm) > 0 {
		a.putStr(semconv.ThreadName, b.text.threadName(c.Comm))
	}
	a.putInt(semconv.CPULogicalNumber, int64(c.CPU))
	return texts + putFields(a, fields)
}

// value writes a plain number as a number, and any other value as text. SO_ERROR has both,
// so that one query finds its calls with and without an error. It returns the bytes of the
// text.
func (b *Builder) value(a *attributes, c *record.Call, o sockopt.Option, where sockopt.Where) (texts int) {
	always := &b.options.Always
	both := o.Layout == sockopt.LayoutErrno
	v := o.Value(c.Value, valueLength(c), where)
	plain := v.Plain()
	switch {
	case !plain:
		text := workload.Escape(v.Text)
		a.putUnlessEmpty(semconv.SocketOptionValue, text)
		texts = len(text)
	case both || always.Value:
		a.putStr(semconv.SocketOptionValue, b.text.int(v.Int))
	}
	if v.HasInt && (plain || both || always.ValueInt) {
		a.putInt(semconv.SocketOptionValueInt, v.Int)
	}
	return texts
}

func putFields(a *attributes, fields []sockopt.Field) (texts int) {
	for _, f := range fields {
		texts += attributeBytes + len(f.Name)
		if f.HasInt {
			a.putInt(f.Name, f.Int)
		} else {
			text := workload.Escape(f.Text)
			a.putStr(f.Name, text)
			texts += len(text)
		}
	}
	return texts
}

// valueLength returns the length of the value in bytes that the kernel returned, which may
// be more than was copied. io_uring returns it as the result of the request.
func valueLength(c *record.Call) uint32 {
	switch {
	case c.Has(record.FlagLengthOut):
		return c.LengthOut
	case c.Entry == record.EntryIOUring:
		return uint32(c.Return)
	}
	return uint32(len(c.Value))
}
