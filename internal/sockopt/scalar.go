// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"net/netip"
	"strconv"
)

// An int may have been cut to 1 to 3 bytes (see view.low), and of a longer
// answer only the first four can be the int.
func (v view) int() (int64, bool) {
	u, ok := v.low(4)
	if len(v.b) >= 4 {
		return int64(int32(u)), ok
	}
	return int64(u), ok
}

func decodeInt(v view) Value {
	i, ok := v.int()
	if !ok {
		return Value{}
	}
	return number(i)
}

func decodeUint(v view) Value {
	u, ok := v.short()
	if !ok {
		return Value{}
	}
	return unsigned(u)
}

// short is an unsigned number of at most four bytes: some options answer with
// a u16 or u8 (BT_SNDMTU, BT_MODE), which is whole at its own length even on a
// big-endian machine. Of fewer bytes than the program got there is no telling.
func (v view) short() (uint64, bool) {
	n := min(4, len(v.b))
	if n == 0 || n < 4 && v.cut() {
		return 0, false
	}
	return v.unsigned(0, n), true
}

func decodeUint64(v view) Value {
	u, ok := v.low(8)
	if !ok {
		return Value{}
	}
	return unsigned(u)
}

func decodeHex(v view) Value {
	u, ok := v.short()
	if !ok {
		return Value{}
	}
	return called("0x"+strconv.FormatUint(u, 16), int64(u))
}

// SO_MAX_PACING_RATE is an unsigned long if there is room for one, else an
// unsigned int (net/core/sock.c); all ones of either mean that there is no
// limit, and are written as -1.
func decodeRate(v view) Value {
	size := 8
	if v.n < 8 {
		size = 4
	}
	u, ok := v.low(size)
	switch {
	case !ok:
		return Value{}
	case len(v.b) >= size && unlimited(u, size):
		return number(-1)
	}
	return unsigned(u)
}

func decodeString(v view) Value {
	s := untilNUL(v.b)
	if len(s) == 0 {
		return Value{}
	}
	text := string(appendString(nil, s))
	if v.cut() && len(s) == len(v.b) {
		text += cutMark
	}
	return Value{Text: text}
}

func decodeBytes(v view) Value {
	if len(v.b) == 0 {
		return Value{}
	}
	text := string(appendHex(nil, v.b))
	if v.cut() {
		text += cutMark
	}
	return Value{Text: text}
}

func decodeAddress(v view) Value {
	dst := appendSockaddr(nil, v.b)
	// Of the families, Unix alone has names without an end of their own.
	if v.cut() && v.has(0, 3) && v.unsigned(0, 2) == afUnix && len(untilNUL(v.b[3:])) == len(v.b)-3 {
		dst = append(dst, cutMark...)
	}
	return Value{Text: string(dst)}
}

func decodeIPv4(v view) Value {
	if !v.has(0, 4) {
		return Value{}
	}
	return Value{Text: netip.AddrFrom4([4]byte(v.b[:4])).String()}
}

// IP_UNICAST_IF and IPV6_UNICAST_IF hold the interface in network order.
func decodeIfindex(v view) Value {
	if !v.has(0, 4) {
		return Value{}
	}
	return number(int64(bigEndianNumber(v.b[:4])))
}

// SO_ERROR hands out, and clears, the error that is pending on the socket.
func decodeErrno(v view) Value {
	i, ok := v.int()
	switch {
	case !ok:
		return Value{}
	case i == 0, len(v.b) < 2: // of ENOTSUPP, 524, one byte would be ENOMEM
		return number(i)
	}
	name := ErrnoName(int32(i))
	return Value{Text: name, Int: i, HasInt: true, Err: name}
}

func decodeSocketType(v view) Value {
	return nameInt(v, TypeName)
}

func decodeFamily(v view) Value {
	return nameInt(v, FamilyName)
}

func decodeProtocol(v view) Value {
	return nameInt(v, func(u uint16) string { return ProtocolName(u, v.where.Family) })
}

// nameInt names an int of which at least two bytes are there: the first byte
// of IPPROTO_MPTCP, 262, is IPPROTO_TCP.
func nameInt(v view, name func(uint16) string) Value {
	i, ok := v.int()
	switch {
	case !ok:
		return Value{}
	case len(v.b) < 2, i < 0, i > 0xffff:
		return number(i)
	}
	return called(name(uint16(i)), i)
}

// enumDecoder names an int by its value.
func enumDecoder(e enum) func(view) Value {
	return func(v view) Value {
		i, ok := v.int()
		if !ok {
			return Value{}
		}
		return called(enumName(e, i), i)
	}
}

// flagDecoder names the bits of an unsigned int.
func flagDecoder(flags []flag) func(view) Value {
	return func(v view) Value {
		u, ok := v.short()
		if !ok {
			return Value{}
		}
		return called(string(appendFlags(nil, flags, u)), int64(u))
	}
}
