// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"bytes"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

const (
	// spanFlags are the W3C trace flags: sampled, and a random trace id.
	spanFlags = 0x03
	// The most attributes a span can have, expanded structures aside: room is
	// made once, before the first is written.
	attributesPlain  = 15
	attributesSocket = attributesPlain + 12
)

// span writes a call.
func (b *Builder) span(s ptrace.Span, c *record.Call) {
	where := sockopt.Where{Compat: c.Has(record.Compat)}
	if c.Has(record.HasSocket) {
		where.Family = c.Socket.Family
	}
	name := b.names.of(c.Level, c.Option, where)

	s.SetName(name.span)
	s.SetKind(ptrace.SpanKindInternal)
	start := int64(c.Start) + b.clock
	s.SetStartTimestamp(pcommon.Timestamp(start))
	s.SetEndTimestamp(pcommon.Timestamp(start + int64(c.Duration)))
	s.SetTraceID(b.ids.trace(c.Randomness))
	s.SetSpanID(b.ids.span())
	s.SetFlags(spanFlags)
	s.TraceState().FromRaw(b.thresholds.state(c.Threshold))

	failed := c.Return < 0
	pending := !failed && c.Has(record.PendingError)
	// No message: the conventions ask for none that only says error.type again.
	if failed || pending && b.options.PendingErrorStatus {
		s.Status().SetCode(ptrace.StatusCodeError)
	}

	before := b.text.written
	texts := b.attributes(s.Attributes(), c, name, where)
	b.bytes += spanBytes + texts + b.text.written - before
}

// attributes returns how many bytes it wrote that are not in the arena, beyond
// what every span may have.
func (b *Builder) attributes(a pcommon.Map, c *record.Call, name *optionName, where sockopt.Where) (texts int) {
	if c.Has(record.HasSocket) {
		a.EnsureCapacity(attributesSocket)
	} else {
		a.EnsureCapacity(attributesPlain)
	}
	a.PutStr("socket.option.level", name.level)
	a.PutInt("socket.option.level_code", int64(c.Level))
	a.PutStr("socket.option.name", name.option.Name)
	a.PutInt("socket.option.code", int64(c.Option))

	failed := c.Return < 0
	secret := name.option.Secret
	shown := !failed && b.options.ValuesEnabled && (secret || c.Has(record.HasValue))
	if shown {
		texts += putValue(a, c, name.option, where, secret)
	}
	// The kernel takes the length for an int, and refuses one below 0.
	if c.Has(record.HasLengthIn) {
		a.PutInt("socket.option.length_in", int64(int32(c.LengthIn)))
	}
	if c.Has(record.HasLengthOut) {
		a.PutInt("socket.option.length_out", int64(int32(c.LengthOut)))
	}

	a.PutInt("syscall.return_value", int64(c.Return))
	switch {
	case failed:
		a.PutStr("error.type", sockopt.ErrnoName(-c.Return))
	case c.Has(record.PendingError):
		a.PutStr("error.type", sockopt.ErrnoName(c.Error))
	}

	a.PutStr("socket.entry", c.Entry.String())
	if !c.Has(record.NoDescriptor) {
		a.PutInt("socket.fd", int64(c.FD))
	}
	if c.Has(record.HasSocket) {
		b.socket(a, &c.Socket)
	}

	a.PutInt("thread.id", int64(c.ThreadID))
	if comm := untilNUL(c.Comm); len(comm) > 0 {
		a.PutStr("thread.name", b.text.add(comm))
	}
	a.PutInt("cpu.logical_number", int64(c.CPU))

	if shown && !secret && b.options.Expand[name.option.Name] {
		texts += putFields(a, sockopt.Expand(name.option, c.Value, returned(c)))
	}
	return texts
}

func putValue(a pcommon.Map, c *record.Call, o sockopt.Option, where sockopt.Where, secret bool) (texts int) {
	if secret {
		a.PutStr("socket.option.value", sockopt.Redacted)
		return len(sockopt.Redacted)
	}
	v := o.Format(c.Value, returned(c), where)
	text := workload.Escape(v.Text)
	putStr(a, "socket.option.value", text)
	if v.HasInt {
		a.PutInt("socket.option.value_int", v.Int)
	}
	return len(text)
}

func putFields(a pcommon.Map, fields []sockopt.Field) (texts int) {
	a.EnsureCapacity(a.Len() + len(fields))
	for _, f := range fields {
		texts += attributeBytes + len(f.Name)
		if f.HasInt {
			a.PutInt(f.Name, f.Int)
		} else {
			text := workload.Escape(f.Text)
			a.PutStr(f.Name, text)
			texts += len(text)
		}
	}
	return texts
}

// returned is how long the kernel says the value is. It may be more than what
// was copied of it. io_uring returns the length instead of writing it.
func returned(c *record.Call) uint32 {
	switch {
	case c.Has(record.HasLengthOut):
		return c.LengthOut
	case c.Entry == record.EntryIOUring:
		return uint32(c.Return)
	}
	return uint32(len(c.Value))
}

func untilNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}
