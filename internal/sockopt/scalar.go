// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"net/netip"
	"strconv"
)

// int returns an int, which may be truncated to 1 to 3 bytes (see uintUpTo). Of a
// longer value only the first four bytes can be the int.
func (v view) int() (int64, bool) {
	u, ok := v.uintUpTo(4)
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
	u, ok := v.uintUpTo(4)
	if !ok {
		return Value{}
	}
	return unsigned(u)
}

func decodeUint64(v view) Value {
	u, ok := v.uintUpTo(8)
	if !ok {
		return Value{}
	}
	return unsigned(u)
}

func decodeHex(v view) Value {
	u, ok := v.uintUpTo(4)
	if !ok {
		return Value{}
	}
	return namedNumber("0x"+strconv.FormatUint(u, 16), int64(u))
}

// SO_MAX_PACING_RATE is an unsigned long if the buffer is large enough for one,
// otherwise an unsigned int (net/core/sock.c). All ones mean that there is no limit,
// which is written as -1.
func decodeRate(v view) Value {
	size := 8
	if v.n < 8 {
		size = 4
	}
	u, ok := v.uintUpTo(size)
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
	// Only Unix addresses have no end of their own.
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

// SO_ERROR returns, and clears, the pending error of the socket.
func decodeErrno(v view) Value {
	i, ok := v.int()
	switch {
	case !ok:
		return Value{}
	case i == 0, len(v.b) < 2: // the first byte of ENOTSUPP, 524, is ENOMEM
		return number(i)
	}
	return Value{Text: ErrnoName(int32(i)), Int: i, HasInt: true}
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

// nameInt names an int of at least two bytes: the first byte of IPPROTO_MPTCP, 262, is
// IPPROTO_TCP.
func nameInt(v view, name func(uint16) string) Value {
	i, ok := v.int()
	switch {
	case !ok:
		return Value{}
	case len(v.b) < 2, i < 0, i > 0xffff:
		return number(i)
	}
	return namedNumber(name(uint16(i)), i)
}

// enumDecoder decodes an int whose values have names.
func enumDecoder(e enum) func(view) Value {
	return func(v view) Value {
		i, ok := v.int()
		if !ok {
			return Value{}
		}
		return namedNumber(enumName(e, i), i)
	}
}

// flagDecoder decodes an unsigned int whose bits have names.
func flagDecoder(flags []flag) func(view) Value {
	return func(v view) Value {
		u, ok := v.uintUpTo(4)
		if !ok {
			return Value{}
		}
		return namedNumber(string(appendFlags(nil, flags, u)), int64(u))
	}
}
