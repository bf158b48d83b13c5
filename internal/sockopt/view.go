// SPDX-License-Identifier: Apache-2.0

package sockopt

import "encoding/binary"

// view is the bytes of a value that were copied and lie within the length that the
// kernel returned: the only bytes that decoders read.
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

// cut reports whether the kernel returned more bytes than the view has.
func (v view) cut() bool { return uint64(len(v.b)) < uint64(v.n) }

// has reports whether the view has size bytes at off.
func (v view) has(off, size int) bool {
	return off >= 0 && size >= 0 && off <= len(v.b) && size <= len(v.b)-off
}

// uintUpTo returns the unsigned number in the first bytes, size at most. Some options
// return a u16 or u8 (BT_SNDMTU, BT_MODE), and the kernel truncates a number to the
// length that was asked for by copying its first, low bytes: 1 to 3 bytes are then
// what the program got. If the program got more bytes than were copied, there is no
// number.
func (v view) uintUpTo(size int) (u uint64, ok bool) {
	n := min(size, len(v.b))
	if n == 0 || n < size && v.cut() {
		return 0, false
	}
	return v.unsigned(0, n), true
}

// unsigned returns the number of size bytes at off, which the view must have. The
// receiver runs on little-endian machines alone.
func (v view) unsigned(off, size int) uint64 {
	b := v.b[off : off+size]
	var u uint64
	for i := range b {
		u |= uint64(b[i]) << (8 * i)
	}
	return u
}

// u32 returns the number at off, false if the view does not have all of its bytes.
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
