// SPDX-License-Identifier: Apache-2.0

package sockopt

import "strings"

// Field is one member of a structure, as an attribute.
type Field struct {
	Name   string // of the attribute: tcp.info.rtt_us
	Int    int64  // the value, if HasInt
	Text   string // the value otherwise: the member is no number, or its values have names
	HasInt bool
}

// CanExpand reports whether the option's value is a structure that [Expand] decodes.
func CanExpand(o Option) bool {
	return !o.Secret && int(o.Layout) < len(layouts) && layouts[o.Layout].fields != nil
}

// Expand returns one attribute for each member of a structure that lies inside the
// bytes: tcp.info.<member> for TCP_INFO, and socket.<option>.<member> for other options,
// with the unit (_us, _ms) if the member is a time. b and n are those of [Option.Value].
// Numbers are the kernel's; -1 in a rate means that there is no limit, and numbers that
// do not fit into an int64 are left out. The value of an enum is its name. It returns
// nil if CanExpand does not hold.
func Expand(o Option, b []byte, n uint32) []Field {
	if !CanExpand(o) {
		return nil
	}
	s := layouts[o.Layout].fields
	root := ""
	if s.fields[0].attribute == "" {
		root = "socket." + strings.ToLower(o.Name) + "."
	}
	v := newView(b, n, Where{})
	out := make([]Field, 0, len(s.fields))
	for i := range s.fields {
		f := &s.fields[i]
		if f.kind == asPadding || !v.has(f.off, f.size) {
			continue
		}
		if x, ok := f.expand(v); ok {
			if x.Name = f.attribute; x.Name == "" {
				x.Name = root + f.name + f.unit
			}
			out = append(out, x)
		}
	}
	return out
}

func (f *field) expand(v view) (Field, bool) {
	switch f.kind {
	case asIPv4, asIPv6, asAddress, asString, asBytes:
		text := bounded(string(f.append(nil, v)))
		return Field{Text: text}, text != ""
	case asNetwork:
		return Field{Int: int64(bigEndianNumber(v.b[f.off : f.off+f.size])), HasInt: true}, true
	}
	u := f.number(v)
	switch {
	case f.enum != nil:
		return Field{Text: enumName(f.enum, int64(u))}, true
	case f.kind == asSigned, f.kind == asErrno:
		return Field{Int: signed(u, f.size), HasInt: true}, true
	case f.kind == asRate && unlimited(u, f.size):
		return Field{Int: -1, HasInt: true}, true
	case u > 1<<63-1:
		return Field{}, false
	}
	return Field{Int: int64(u), HasInt: true}, true
}
