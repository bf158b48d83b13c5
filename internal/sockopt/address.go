// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
)

// appendSockaddr appends a socket address: 10.0.0.7:443, [fe80::1%2]:80, a Unix path,
// @abstract, cid:port for vsock. A v4-mapped address becomes the IPv4 address that is in
// use. An address that is too short for its family, or of a family that is not decoded,
// becomes the family's name. It appends nothing if the family itself is missing.
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
	case family == afVSOCK && len(b) >= 12: // struct sockaddr_vm
		dst = strconv.AppendUint(dst, uint64(binary.NativeEndian.Uint32(b[8:])), 10)
		dst = append(dst, ':')
		return strconv.AppendUint(dst, uint64(binary.NativeEndian.Uint32(b[4:])), 10)
	}
	if members := addresses[family]; members != nil && len(b) >= members.size {
		return append(dst, members.text(view{b: b, n: uint32(len(b))})...)
	}
	return append(dst, FamilyName(family)...)
}

// addresses are the families whose address is not a host and a port. The first two
// bytes are the family (the UAPI header of each).
var addresses = map[uint16]*schema{
	afNetlink: structure(padding(4), u32("nl_pid"), u32("nl_groups").as(asHex)),
	afPacket:  structure(padding(2), u16("sll_protocol").as(asNetwork), i32("sll_ifindex")),
	afCAN:     structure(padding(4), i32("can_ifindex")), // then what the protocol wants
	afX25:     structure(padding(2), chars("sx25_addr", 16)),
	afALG: structure(
		padding(2), chars("salg_type", 14), u32("salg_feat").as(asHex), u32("salg_mask").as(asHex), chars("salg_name", 64)),
	afPhonet: structure(
		padding(2), u8("spn_obj").as(asHex), u8("spn_dev").as(asHex), u8("spn_resource").as(asHex)),
	afNFC:  structure(padding(4), u32("dev_idx"), u32("target_idx"), u32("nfc_protocol")),
	afLLC:  structure(padding(7), u8("sllc_sap").as(asHex), field{name: "sllc_mac", kind: asBytes, size: 6}),
	afQRTR: structure(padding(4), u32("sq_node"), u32("sq_port")),
	afXDP: structure(
		padding(2), u16("sxdp_flags").as(asHex), u32("sxdp_ifindex"), u32("sxdp_queue_id")),
	afMCTP: structure(padding(4), u32("smctp_network"), u8("smctp_addr"), u8("smctp_type"), u8("smctp_tag")),
	afTIPC: structure(
		padding(2), u8("addrtype").named(tipcAddressTypes), u8("scope"), u32("addr[0]"), u32("addr[1]")),
}

// include/uapi/linux/tipc.h: what the two numbers that follow are, a type and
// its instance or range, or the reference of a socket and its node.
var tipcAddressTypes = enum{1: "TIPC_SERVICE_RANGE", 2: "TIPC_SERVICE_ADDR", 3: "TIPC_SOCKET_ADDR"}

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

// sockaddrSize returns how many bytes an address takes in a list of addresses (SCTP), 0
// if that is not known.
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
