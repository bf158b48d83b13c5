// SPDX-License-Identifier: Apache-2.0

package sockopt

// Value is an option's value as a person writes it.
type Value struct {
	Text   string // "" when there is nothing to show
	Int    int64  // the same value, where it is one number
	HasInt bool
	Err    string // the errno's name where the value is a pending error
}

// Plain reports whether the value is a number without a name, whose text
// [Option.Value] leaves out.
func (v Value) Plain() bool { return v.HasInt && v.Text == "" }

// Redacted stands in place of key material.
const Redacted = "<redacted>"

// maxText is the longest text, in characters.
const maxText = 1024

// cutMark ends a text that is shorter than the value.
const cutMark = "…(cut)"

// Format is Value with the text of a plain number, too.
func (o Option) Format(b []byte, n uint32, w Where) Value {
	v := o.Value(b, n, w)
	if v.Plain() {
		v.Text = itoa(v.Int)
	}
	return v
}

// Value reads the value of an option: b are the bytes that were copied, n is
// the length that the kernel returned. b may be shorter than n, and n may lie:
// then the text tells less, never something else. Without any bytes there may
// still be something to tell: a filter's length is its value, and a secret
// option is redacted without a look at them.
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

// number is a value that is one number and written as such. Most values are, so
// the text is left to whoever needs it.
func number(i int64) Value {
	return Value{Int: i, HasInt: true}
}

// unsigned is number for what may not fit into an int64, and then has no Int.
func unsigned(u uint64) Value {
	if u > 1<<63-1 {
		return Value{Text: utoa(u)}
	}
	return number(int64(u))
}

// called is a value that is one number and has a name, if it has: tables of
// names hold the number for what they do not know.
func called(name string, i int64) Value {
	if name == itoa(i) {
		return number(i)
	}
	return Value{Text: name, Int: i, HasInt: true}
}
