// SPDX-License-Identifier: Apache-2.0

package sockopt

import "encoding/binary"

// view is the part of a value that is both copied and claimed by the kernel:
// the only bytes that decoders see.
type view struct {
	b     []byte
	n     uint32 // the length that the kernel returned
	where Where
}

func newView(b []byte, n uint32, w Where) view {
	if uint64(n) < uint64(len(b)) {
		b = b[:n]
	}
	return view{b: b, n: n, where: w}
}

// cut reports whether the kernel returned more than there is to see.
func (v view) cut() bool { return uint64(len(v.b)) < uint64(v.n) }

// has reports whether size bytes from off can be seen.
func (v view) has(off, size int) bool {
	return off >= 0 && size >= 0 && off <= len(v.b) && size <= len(v.b)-off
}

// low is the unsigned number in the first bytes, size at most. The kernel cuts
// a number to the length it was asked for by copying its first bytes, which on
// a little-endian machine are the low ones: 1 to 3 bytes then still tell what
// the program was told. On a big-endian one they tell nothing, and neither do
// they where the program got more than was copied.
func (v view) low(size int) (u uint64, ok bool) {
	n := min(size, len(v.b))
	if n == 0 || n < size && (bigEndian || v.cut()) {
		return 0, false
	}
	return v.unsigned(0, n), true
}

// unsigned is the number of size bytes at off, which must be there.
func (v view) unsigned(off, size int) uint64 {
	b := v.b[off : off+size]
	var u uint64
	for i := range b {
		if bigEndian {
			u = u<<8 | uint64(b[i])
		} else {
			u |= uint64(b[i]) << (8 * i)
		}
	}
	return u
}

// u32 is the number at off, or false when it is not wholly there.
func (v view) u32(off int) (uint32, bool) {
	if !v.has(off, 4) {
		return 0, false
	}
	return binary.NativeEndian.Uint32(v.b[off:]), true
}

// signed extends the sign of a number of size bytes.
func signed(u uint64, size int) int64 {
	shift := 64 - 8*size
	return int64(u<<shift) >> shift
}

var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1
