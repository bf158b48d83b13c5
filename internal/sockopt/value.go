// SPDX-License-Identifier: Apache-2.0

package sockopt

// Value is the decoded value of an option.
type Value struct {
	Text   string // valid UTF-8, at most 1024 characters; empty if the value has none
	Int    int64  // the value as a number, if HasInt
	HasInt bool
}

// Plain reports whether the value is a number without a name, for which
// [Option.Value] returns no text.
func (v Value) Plain() bool { return v.HasInt && v.Text == "" }

// Redacted is the text of a value that is key material.
const Redacted = "<redacted>"

// maxText is the most characters of a text.
const maxText = 1024

// cutMark ends a text that does not hold the whole value.
const cutMark = "…(cut)"

// Format returns what [Option.Value] returns, with a text for plain numbers too.
func (o Option) Format(b []byte, n uint32, w Where) Value {
	v := o.Value(b, n, w)
	if v.Plain() {
		v.Text = itoa(v.Int)
	}
	return v
}

// Value decodes the value of an option from the bytes that were copied and the length
// n in bytes that the kernel returned. b may be shorter than n, and n may be wrong: the
// result then holds less, never something else. A value without bytes can have a text:
// SO_GET_FILTER returns its value as the length, and key material is redacted without
// reading it. It is safe for concurrent use.
func (o Option) Value(b []byte, n uint32, w Where) Value {
	if o.Secret {
		return Value{Text: Redacted}
	}
	if int(o.Layout) >= len(layouts) {
		return Value{}
	}
	l := &layouts[o.Layout]
	v := newView(b, n, w)
	switch {
	case l.fields != nil:
		return Value{Text: bounded(l.fields.text(v))}
	case l.decode != nil:
		out := l.decode(v)
		out.Text = bounded(out.Text)
		return out
	}
	return Value{}
}

// number returns a value that is a plain number. Most values are, so the text is made
// only by callers that need it.
func number(i int64) Value {
	return Value{Int: i, HasInt: true}
}

// unsigned returns a plain number. One that does not fit into an int64 has a text alone.
func unsigned(u uint64) Value {
	if u > 1<<63-1 {
		return Value{Text: utoa(u)}
	}
	return number(int64(u))
}

// namedNumber returns a number and its name. A name that is the number itself, as
// enumName returns it, makes a plain number.
func namedNumber(name string, i int64) Value {
	if name == itoa(i) {
		return number(i)
	}
	return Value{Text: name, Int: i, HasInt: true}
}
