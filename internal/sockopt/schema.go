// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"bytes"
	"net/netip"
	"strconv"
)

// schema describes a C structure, so that one function can format all of them.
type schema struct {
	fields  []field
	size    int
	summary bool // the text holds only the fields of the summary
}

// field is a member of a structure, or one of its bit fields.
type field struct {
	name      string
	kind      kind
	off       int
	size      int
	shift     uint8 // of a bit field within its bytes
	bits      uint8 // 0: all of them
	unit      string
	attribute string // the attribute's full name, where it does not depend on the option
	enum      enum
	flags     []flag
	inSummary bool
	pack      bool // aligned as an int, whatever its type
}

// kind is how a member is read and written.
type kind uint8

const (
	asUnsigned kind = iota
	asSigned
	asRate         // unsigned; all ones mean that there is no limit
	asHex          // unsigned
	asErrno        // signed: an error, or the negative of one
	asNetwork      // unsigned, big-endian
	asMicroseconds // unsigned
	asMilliseconds // unsigned
	asIPv4
	asIPv6
	asAddress // a struct sockaddr of any family
	asString  // up to the first NUL
	asBytes
	asPadding
)

// structure lays fields out as a C compiler does on a 64-bit machine, each at a
// multiple of its own size, and packed does so without gaps. Tests compare every
// offset with the kernel's headers.
func structure(fields ...field) *schema { return layOut(false, fields) }

func packed(fields ...field) *schema { return layOut(true, fields) }

func layOut(tight bool, fields []field) *schema {
	s := &schema{fields: fields}
	for i := range fields {
		f := &fields[i]
		if f.bits != 0 && f.shift != 0 { // shares the bytes of the field before
			f.off = fields[i-1].off
			continue
		}
		if a := f.align(); !tight && s.size%a != 0 {
			s.size += a - s.size%a
		}
		f.off = s.size
		s.size += f.size
	}
	for i := range fields {
		s.summary = s.summary || fields[i].inSummary
	}
	return s
}

func (f *field) align() int {
	switch f.kind {
	case asString, asBytes, asPadding:
		return 1
	case asIPv4, asIPv6:
		return 4
	case asAddress:
		if f.size == storageSize && !f.pack {
			return 8 // aligned as a long
		}
		return 4
	}
	return f.size
}

// withAttributeRoot sets the attribute names of a structure's fields, which start with
// root.
func withAttributeRoot(root string, s *schema) *schema {
	for i := range s.fields {
		f := &s.fields[i]
		f.attribute = root + f.name + f.unit
	}
	return s
}

const storageSize = 128 // struct sockaddr_storage

func u8(name string) field  { return field{name: name, size: 1} }
func u16(name string) field { return field{name: name, size: 2} }
func u32(name string) field { return field{name: name, size: 4} }
func u64(name string) field { return field{name: name, size: 8} }
func i32(name string) field { return field{name: name, size: 4, kind: asSigned} }

func storage(name string) field { return field{name: name, size: storageSize, kind: asAddress} }
func chars(name string, n int) field {
	return field{name: name, size: n, kind: asString}
}
func padding(n int) field { return field{size: n, kind: asPadding} }

// us and ms mark a field as a time. The unit becomes part of its attribute's name.
func (f field) us() field { f.kind, f.unit = asMicroseconds, "_us"; return f }
func (f field) ms() field { f.kind, f.unit = asMilliseconds, "_ms"; return f }

func (f field) as(k kind) field         { f.kind = k; return f }
func (f field) named(e enum) field      { f.enum = e; return f }
func (f field) flagged(s []flag) field  { f.flags = s; return f }
func (f field) summary() field          { f.inSummary = true; return f }
func (f field) at(shift, n uint8) field { f.shift, f.bits = shift, n; return f }

// text formats the fields that lie inside the view: {a=1, b=2}. It is empty if there
// is none.
func (s *schema) text(v view) string {
	var buffer [256]byte
	dst := append(buffer[:0], '{')
	for i := range s.fields {
		f := &s.fields[i]
		if f.kind == asPadding || s.summary && !f.inSummary || !v.has(f.off, f.size) {
			continue
		}
		if len(dst) > 1 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, f.name...)
		dst = append(dst, '=')
		dst = f.append(dst, v)
	}
	if len(dst) == 1 {
		return ""
	}
	return string(append(dst, '}'))
}

// number returns the value of a field, which may be a bit field.
func (f *field) number(v view) uint64 {
	u := v.unsigned(f.off, f.size)
	if f.bits != 0 {
		u = u >> f.shift & (1<<f.bits - 1)
	}
	return u
}

func (f *field) append(dst []byte, v view) []byte {
	b := v.b[f.off : f.off+f.size]
	switch f.kind {
	case asIPv4:
		return netip.AddrFrom4([4]byte(b)).AppendTo(dst)
	case asIPv6:
		return netip.AddrFrom16([16]byte(b)).Unmap().AppendTo(dst)
	case asAddress:
		return appendSockaddr(dst, b)
	case asString:
		return appendString(dst, untilNUL(b))
	case asBytes:
		return appendHex(dst, b)
	}
	u := f.number(v)
	switch {
	case f.enum != nil:
		return append(dst, enumName(f.enum, int64(u))...)
	case f.flags != nil:
		return appendFlags(dst, f.flags, u)
	}
	switch f.kind {
	case asSigned:
		return strconv.AppendInt(dst, signed(u, f.size), 10)
	case asErrno:
		if e := signed(u, f.size); e != 0 {
			return append(dst, ErrnoName(int32(max(e, -e)))...)
		}
	case asRate:
		if unlimited(u, f.size) {
			return append(dst, "-1"...)
		}
	case asHex:
		return strconv.AppendUint(append(dst, "0x"...), u, 16)
	case asNetwork:
		u = bigEndianNumber(b)
	case asMicroseconds:
		return appendMicroseconds(dst, u)
	case asMilliseconds:
		if u <= 1<<63/1000000 {
			return appendMicroseconds(dst, u*1000)
		}
	}
	return strconv.AppendUint(dst, u, 10)
}

func bigEndianNumber(b []byte) uint64 {
	var u uint64
	for _, c := range b {
		u = u<<8 | uint64(c)
	}
	return u
}

// unlimited reports whether a rate of 4 or 8 bytes is the kernel's value for no limit.
func unlimited(u uint64, size int) bool { return size >= 4 && u == 1<<(8*size)-1 }

func untilNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}
