// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
)

// appendSockaddr writes a socket address: 10.0.0.7:443, [fe80::1%2]:80, a Unix
// path, @abstract, cid:port for vsock. A v4-mapped address is written as the
// IPv4 address that is in use. What is too short for its family, or of a
// family whose addresses are not decoded, is written as the family's name.
// It appends nothing when even the family is not there.
func appendSockaddr(dst, b []byte) []byte {
	if len(b) < 2 {
		return dst
	}
	family := binary.NativeEndian.Uint16(b)
	switch {
	case family == afInet && len(b) >= 8:
		return appendEndpoint(dst, netip.AddrFrom4([4]byte(b[4:8])), b[2:4])
	case family == afInet6 && len(b) >= 24:
		return appendEndpoint(dst, inet6(b), b[2:4])
	case family == afUnix:
		return appendUnix(dst, b[2:])
	case family == afNetlink && len(b) >= 12: // struct sockaddr_nl
		dst = append(dst, "{nl_pid="...)
		dst = strconv.AppendUint(dst, uint64(binary.NativeEndian.Uint32(b[4:])), 10)
		dst = append(dst, ", nl_groups=0x"...)
		dst = strconv.AppendUint(dst, uint64(binary.NativeEndian.Uint32(b[8:])), 16)
		return append(dst, '}')
	case family == afPacket && len(b) >= 8: // struct sockaddr_ll
		dst = append(dst, "{sll_protocol=0x"...)
		dst = strconv.AppendUint(dst, uint64(binary.BigEndian.Uint16(b[2:])), 16)
		dst = append(dst, ", sll_ifindex="...)
		dst = strconv.AppendInt(dst, int64(int32(binary.NativeEndian.Uint32(b[4:]))), 10)
		return append(dst, '}')
	case family == afVSOCK && len(b) >= 12: // struct sockaddr_vm
		dst = strconv.AppendUint(dst, uint64(binary.NativeEndian.Uint32(b[8:])), 10)
		dst = append(dst, ':')
		return strconv.AppendUint(dst, uint64(binary.NativeEndian.Uint32(b[4:])), 10)
	}
	return append(dst, FamilyName(family)...)
}

// inet6 is the address of a struct sockaddr_in6; its scope is an interface.
func inet6(b []byte) netip.Addr {
	a := netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	if len(b) >= 28 && a.Is6() {
		if scope := binary.NativeEndian.Uint32(b[24:]); scope != 0 {
			a = a.WithZone(strconv.FormatUint(uint64(scope), 10))
		}
	}
	return a
}

func appendEndpoint(dst []byte, a netip.Addr, port []byte) []byte {
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port)).AppendTo(dst)
}

// appendUnix writes sun_path: a path ends at its first NUL, an abstract name
// starts with one and holds any bytes, and an unbound socket has none.
func appendUnix(dst, path []byte) []byte {
	switch {
	case len(path) == 0:
		return append(dst, "(unnamed)"...)
	case path[0] == 0:
		return appendString(dst, append([]byte{'@'}, path[1:]...))
	}
	if i := bytes.IndexByte(path, 0); i >= 0 {
		path = path[:i]
	}
	return appendString(dst, path)
}

// sockaddrSize is how many bytes an address of this family takes, where it has
// to be found in a row of others (SCTP, MPTCP); 0 when that is not known.
func sockaddrSize(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch binary.NativeEndian.Uint16(b) {
	case afInet:
		return 16
	case afInet6:
		return 28
	}
	return 0
}
