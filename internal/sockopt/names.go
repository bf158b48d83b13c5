// SPDX-License-Identifier: Apache-2.0

package sockopt

import "strconv"

// The address families that this package treats differently.
const (
	afUnix       = 1
	afInet       = 2
	afInet6      = 10
	afX25        = 9
	afNetlink    = 16
	afPacket     = 17
	afLLC        = 26
	afCAN        = 29
	afTIPC       = 30
	afBluetooth  = 31
	afISDN       = 34
	afPhonet     = 35
	afIEEE802154 = 36
	afALG        = 38
	afNFC        = 39
	afVSOCK      = 40
	afQRTR       = 42
	afSMC        = 43
	afXDP        = 44
	afMCTP       = 45
)

// FamilyName returns the name of an address family (AF_INET), or a decimal number if
// it has none.
func FamilyName(f uint16) string { return enumName(familyNames, int64(f)) }

// TypeName returns the name of a socket type (SOCK_STREAM), or a decimal number if it
// has none.
func TypeName(t uint16) string { return enumName(typeNames, int64(t)) }

// TCPStateName returns the name of a state of include/net/tcp_states.h (ESTABLISHED),
// or a decimal number if it has none. UDP, Unix and MPTCP sockets use the same states.
func TCPStateName(s uint8) string { return enumName(tcpStates, int64(s)) }

// ProtocolName returns the name of a protocol of an address family (IPPROTO_TCP). It
// returns a decimal number if the protocol has no name, or if the family numbers its
// protocols differently (packet sockets: EtherTypes).
func ProtocolName(p, family uint16) string {
	switch family {
	case afInet, afInet6:
		return enumName(inetProtocols, int64(p))
	case afNetlink:
		return enumName(netlinkProtocols, int64(p))
	case afCAN:
		return enumName(canProtocols, int64(p))
	case afBluetooth:
		return enumName(bluetoothProtocols, int64(p))
	case afSMC:
		return enumName(smcProtocols, int64(p))
	}
	return strconv.Itoa(int(p))
}

// enum is the names of the values 0, 1, ...; "" where a value has none.
type enum []string

// enumName returns the name of v, or v in decimal.
func enumName(e enum, v int64) string {
	if v >= 0 && v < int64(len(e)) && e[v] != "" {
		return e[v]
	}
	return strconv.FormatInt(v, 10)
}

var familyNames = enum{
	"AF_UNSPEC", "AF_UNIX", "AF_INET", "AF_AX25", "AF_IPX", "AF_APPLETALK", "AF_NETROM", "AF_BRIDGE", "AF_ATMPVC",
	"AF_X25", "AF_INET6", "AF_ROSE", "AF_DECnet", "AF_NETBEUI", "AF_SECURITY", "AF_KEY", "AF_NETLINK", "AF_PACKET",
	"AF_ASH", "AF_ECONET", "AF_ATMSVC", "AF_RDS", "AF_SNA", "AF_IRDA", "AF_PPPOX", "AF_WANPIPE", "AF_LLC", "AF_IB",
	"AF_MPLS", "AF_CAN", "AF_TIPC", "AF_BLUETOOTH", "AF_IUCV", "AF_RXRPC", "AF_ISDN", "AF_PHONET", "AF_IEEE802154",
	"AF_CAIF", "AF_ALG", "AF_NFC", "AF_VSOCK", "AF_KCM", "AF_QIPCRTR", "AF_SMC", "AF_XDP", "AF_MCTP",
}

var typeNames = enum{
	1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 4: "SOCK_RDM",
	5: "SOCK_SEQPACKET", 6: "SOCK_DCCP", 10: "SOCK_PACKET",
}

var tcpStates = enum{
	"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
	"LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV", "BOUND_INACTIVE",
}

// include/uapi/linux/in.h and, for IPv6's extension headers, in6.h.
var inetProtocols = enum{
	0: "IPPROTO_IP", 1: "IPPROTO_ICMP", 2: "IPPROTO_IGMP", 4: "IPPROTO_IPIP", 6: "IPPROTO_TCP", 8: "IPPROTO_EGP",
	12: "IPPROTO_PUP", 17: "IPPROTO_UDP", 22: "IPPROTO_IDP", 29: "IPPROTO_TP", 33: "IPPROTO_DCCP",
	41: "IPPROTO_IPV6", 43: "IPPROTO_ROUTING", 44: "IPPROTO_FRAGMENT", 46: "IPPROTO_RSVP", 47: "IPPROTO_GRE",
	50: "IPPROTO_ESP", 51: "IPPROTO_AH", 58: "IPPROTO_ICMPV6", 59: "IPPROTO_NONE", 60: "IPPROTO_DSTOPTS",
	92: "IPPROTO_MTP", 94: "IPPROTO_BEETPH", 98: "IPPROTO_ENCAP", 103: "IPPROTO_PIM", 108: "IPPROTO_COMP",
	115: "IPPROTO_L2TP", 132: "IPPROTO_SCTP", 135: "IPPROTO_MH", 136: "IPPROTO_UDPLITE", 137: "IPPROTO_MPLS",
	143: "IPPROTO_ETHERNET", 144: "IPPROTO_AGGFRAG", 255: "IPPROTO_RAW", 256: "IPPROTO_SMC", 262: "IPPROTO_MPTCP",
}

var netlinkProtocols = enum{
	"NETLINK_ROUTE", "NETLINK_UNUSED", "NETLINK_USERSOCK", "NETLINK_FIREWALL", "NETLINK_SOCK_DIAG", "NETLINK_NFLOG",
	"NETLINK_XFRM", "NETLINK_SELINUX", "NETLINK_ISCSI", "NETLINK_AUDIT", "NETLINK_FIB_LOOKUP", "NETLINK_CONNECTOR",
	"NETLINK_NETFILTER", "NETLINK_IP6_FW", "NETLINK_DNRTMSG", "NETLINK_KOBJECT_UEVENT", "NETLINK_GENERIC", "",
	"NETLINK_SCSITRANSPORT", "NETLINK_ECRYPTFS", "NETLINK_RDMA", "NETLINK_CRYPTO", "NETLINK_SMC",
}

var canProtocols = enum{
	1: "CAN_RAW", 2: "CAN_BCM", 3: "CAN_TP16", 4: "CAN_TP20", 5: "CAN_MCNET", 6: "CAN_ISOTP", 7: "CAN_J1939",
}

// include/net/bluetooth/bluetooth.h
var bluetoothProtocols = enum{
	"BTPROTO_L2CAP", "BTPROTO_HCI", "BTPROTO_SCO", "BTPROTO_RFCOMM", "BTPROTO_BNEP", "BTPROTO_CMTP", "BTPROTO_HIDP",
	"BTPROTO_AVDTP", "BTPROTO_ISO",
}

var smcProtocols = enum{"SMCPROTO_SMC", "SMCPROTO_SMC6"}
