// SPDX-License-Identifier: Apache-2.0

package sockopt

// familyLevel is a level number that one address family uses for itself.
type familyLevel struct {
	level  int32
	family uint16
	name   string
}

// familyLevels are the levels below 256 that a family uses for itself although an IP
// protocol has the same number (include/net/bluetooth/bluetooth.h,
// include/linux/mISDNif.h, include/net/af_ieee802154.h).
var familyLevels = []familyLevel{
	{0, afBluetooth, "SOL_HCI"},
	{6, afBluetooth, "SOL_L2CAP"},
	{17, afBluetooth, "SOL_SCO"},
	{0, afISDN, "SOL_MISDN"},
	{0, afIEEE802154, "SOL_IEEE802154"},
}

// ownLevel returns the family's own name of a level, empty if it has none.
func ownLevel(level int32, family uint16) string {
	for i := range familyLevels {
		if familyLevels[i].family == family && familyLevels[i].level == level {
			return familyLevels[i].name
		}
	}
	return ""
}

// LevelName returns the name of a level: the five of the manual pages (SOL_SOCKET,
// IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP) as they spell them, any other
// one by its SOL_* name, and vsock's by the address family with the same number. A
// level without a name is [Other].
func LevelName(level int32, w Where) string {
	if name := ownLevel(level, w.Family); name != "" {
		return name
	}
	if level >= 0 && int(level) < len(levelNames) && levelNames[level] != "" {
		return levelNames[level]
	}
	return Other
}

// NamedLevels returns the levels that have a name whatever the address family, sorted.
func NamedLevels() []int32 {
	var levels []int32
	for level, name := range levelNames {
		if name != "" {
			levels = append(levels, int32(level))
		}
	}
	return levels
}

// levelNames follows asm-generic/socket.h, include/linux/socket.h and the headers of
// CAN.
var levelNames = [...]string{
	0:   "IPPROTO_IP",
	1:   "SOL_SOCKET",
	6:   "IPPROTO_TCP",
	17:  "IPPROTO_UDP",
	18:  "SOL_RFCOMM",
	40:  "AF_VSOCK",
	41:  "IPPROTO_IPV6",
	58:  "SOL_ICMPV6",
	100: "SOL_CAN_BASE",
	101: "SOL_CAN_RAW",
	106: "SOL_CAN_ISOTP",
	107: "SOL_CAN_J1939",
	132: "SOL_SCTP",
	136: "SOL_UDPLITE",
	255: "SOL_RAW",
	256: "SOL_IPX",
	257: "SOL_AX25",
	258: "SOL_ATALK",
	259: "SOL_NETROM",
	260: "SOL_ROSE",
	261: "SOL_DECNET",
	262: "SOL_X25",
	263: "SOL_PACKET",
	264: "SOL_ATM",
	265: "SOL_AAL",
	266: "SOL_IRDA",
	267: "SOL_NETBEUI",
	268: "SOL_LLC",
	269: "SOL_DCCP",
	270: "SOL_NETLINK",
	271: "SOL_TIPC",
	272: "SOL_RXRPC",
	273: "SOL_PPPOL2TP",
	274: "SOL_BLUETOOTH",
	275: "SOL_PNPIPE",
	276: "SOL_RDS",
	277: "SOL_IUCV",
	278: "SOL_CAIF",
	279: "SOL_ALG",
	280: "SOL_NFC",
	281: "SOL_KCM",
	282: "SOL_TLS",
	283: "SOL_XDP",
	284: "SOL_MPTCP",
	285: "SOL_MCTP",
	286: "SOL_SMC",
	287: "SOL_VSOCK",
}
