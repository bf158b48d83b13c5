// SPDX-License-Identifier: Apache-2.0

package main

import "regexp"

// A rule says which names of a header are socket options, and of which level. Everything that `options` matches is an
// option unless `not` matches too: `not` is the reviewed list of what shares the prefix and is no option (values, limits,
// flags, names of setsockopt-only numbers that a getsockopt name shares), so that a name which a newer kernel adds shows
// up as a missing option until somebody has looked at it.
type rule struct {
	header   string // below a header root
	internal bool   // of the kernel's own headers (linux-headers-*), not of the UAPI
	level    int32
	family   uint16 // the only address family to which level means this
	arch     string
	options  *regexp.Regexp
	not      *regexp.Regexp
}

const (
	afInet6      = 10
	afBluetooth  = 31
	afISDN       = 34
	afIEEE802154 = 36
)

// Numbers of levels. Those that no header of the option's own names are linux/socket.h's.
const (
	solIP        = 0
	solSocket    = 1
	solL2CAP     = 6
	solTCP       = 6
	solSCO       = 17
	solUDP       = 17
	solRFCOMM    = 18
	solVSOCK     = 40
	solIPv6      = 41
	solICMPv6    = 58
	solCANRaw    = 101
	solCANISOTP  = 106
	solCANJ1939  = 107
	solSCTP      = 132
	solUDPLite   = 136
	solRaw       = 255
	solIPX       = 256
	solAX25      = 257
	solNETROM    = 259
	solROSE      = 260
	solX25       = 262
	solPacket    = 263
	solATM       = 264
	solAAL       = 265
	solLLC       = 268
	solDCCP      = 269
	solNetlink   = 270
	solTIPC      = 271
	solRxRPC     = 272
	solPPPoL2TP  = 273
	solBluetooth = 274
	solPNPipe    = 275
	solRDS       = 276
	solIUCV      = 277
	solCAIF      = 278
	solALG       = 279
	solNFC       = 280
	solKCM       = 281
	solTLS       = 282
	solXDP       = 283
	solMPTCP     = 284
	solMCTP      = 285
	solSMC       = 286
)

// solSocketOther is SOL_SOCKET on MIPS and SPARC.
const solSocketOther = 0xffff

func exactly(pattern string) *regexp.Regexp { return regexp.MustCompile(`^(?:` + pattern + `)$`) }

// notSocket: aliases of the word size, BPF's second name for a number, and the security numbers' comment.
var notSocket = exactly(`SO_(TIMESTAMP|TIMESTAMPNS|TIMESTAMPING|RCVTIMEO|SNDTIMEO)|SO_ATTACH_FILTER|SO_DETACH_BPF`)

var rules = []rule{
	{header: "asm-generic/socket.h", level: solSocket, arch: "archGeneric", options: exactly(`SO_\w+`), not: notSocket},
	{header: "powerpc64le-linux-gnu/asm/socket.h", level: solSocket, arch: "archPowerPC", options: exactly(`SO_\w+`), not: notSocket},
	{header: "mips-linux-gnu/asm/socket.h", level: solSocketOther, arch: "archMIPS", options: exactly(`SO_\w+`),
		not: exactly(notSocket.String() + `|SO_STYLE`)}, // SO_STYLE is MIPS's second name for SO_TYPE
	{header: "sparc64-linux-gnu/asm/socket.h", level: solSocketOther, arch: "archSPARC", options: exactly(`SO_\w+`), not: notSocket},

	{header: "linux/in.h", level: solIP, options: exactly(`IP_\w+|MCAST_\w+`),
		not: exactly(`IP_PMTUDISC_\w+|IP_DEFAULT_\w+|MCAST_(EXCLUDE|INCLUDE)|IP_RECVRETOPTS|IP_RECVORIGDSTADDR`)},
	{header: "linux/mroute.h", level: solIP, options: exactly(`MRT_\w+`), not: exactly(`MRT_(BASE|MAX|FLUSH_\w+)`)},
	{header: "linux/netfilter_ipv4.h", level: solIP, options: exactly(`SO_\w+`)},
	{header: "linux/netfilter_ipv4/ip_tables.h", level: solIP, options: exactly(`IPT_SO_GET_\w+`), not: exactly(`\w+_MAX`)},
	{header: "linux/netfilter_arp/arp_tables.h", level: solIP, options: exactly(`ARPT_SO_GET_\w+`), not: exactly(`\w+_MAX`)},
	{header: "linux/netfilter_bridge/ebtables.h", level: solIP, options: exactly(`EBT_SO_GET_\w+`), not: exactly(`\w+_MAX`)},
	{header: "linux/netfilter/ipset/ip_set.h", level: solIP, options: exactly(`SO_\w+`)},
	{header: "linux/ip_vs.h", level: solIP, options: exactly(`IP_VS_SO_GET_\w+`), not: exactly(`\w+_MAX`)},
	{header: "linux/ip_vs.h", level: solIP, options: exactly(`IP_VS_SO_SET_\w+`), not: exactly(`\w+_MAX|IP_VS_SO_SET_(NONE|INSERT|ADD|EDIT|DEL|FLUSH|LIST|ADDDEST)`)},

	{header: "linux/in6.h", level: solIPv6, options: exactly(`IPV6_\w+`),
		not: exactly(`IPV6_(FL_|PRIORITY_|TLV_|PMTUDISC_|PREFER_SRC_)\w+|IPV6_FLOWINFO_(FLOWLABEL|PRIORITY)|IPV6_RECVORIGDSTADDR`)},
	{header: "linux/in.h", level: solIPv6, options: exactly(`MCAST_\w+`), not: exactly(`MCAST_(EXCLUDE|INCLUDE)`)},
	{header: "linux/mroute6.h", level: solIPv6, options: exactly(`MRT6_\w+`), not: exactly(`MRT6_(BASE|MAX|FLUSH_\w+)`)},
	{header: "linux/netfilter_ipv6/ip6_tables.h", level: solIPv6, options: exactly(`IP6T_SO_(GET_\w+|ORIGINAL_DST)`), not: exactly(`\w+_MAX`)},
	{header: "linux/in6.h", level: solRaw, family: afInet6, options: exactly(`IPV6_CHECKSUM`)}, // net/ipv6/raw.c takes it at both levels

	{header: "linux/tcp.h", level: solTCP, options: exactly(`TCP_\w+`),
		not: exactly(`TCP_(MSS_|REPAIR_(ON|OFF)|MD5SIG_(MAXKEYLEN|FLAG_)|AO_(MAXKEYLEN|KEYF_)|RECEIVE_ZEROCOPY_FLAG_|FLAG_|CA_|NLA_|ACCECN_)\w*|` +
			`TCP_(RESERVED_BITS|DATA_OFFSET|NO_QUEUE|RECV_QUEUE|SEND_QUEUE|QUEUES_NR|CM_INQ)`)},
	{header: "linux/udp.h", level: solUDP, options: exactly(`UDP_\w+`), not: exactly(`UDP_ENCAP_\w+`)},
	{header: "net/udplite.h", internal: true, level: solUDP, options: exactly(`UDPLITE_\w+`)}, // udp_lib_getsockopt serves both levels
	{header: "linux/udp.h", level: solUDPLite, options: exactly(`UDP_\w+`), not: exactly(`UDP_ENCAP_\w+`)},
	{header: "net/udplite.h", internal: true, level: solUDPLite, options: exactly(`UDPLITE_\w+`)},
	{header: "linux/icmp.h", level: solRaw, options: exactly(`ICMP_FILTER`)},
	{header: "linux/icmpv6.h", level: solICMPv6, options: exactly(`ICMPV6_FILTER`)},

	{header: "linux/sctp.h", level: solSCTP, options: exactly(`SCTP_\w+`), not: notSCTP},
	{header: "linux/dccp.h", level: solDCCP, options: exactly(`DCCP_SOCKOPT_\w+`)},
	{header: "linux/mptcp.h", level: solMPTCP, options: exactly(`MPTCP_(INFO|TCPINFO|SUBFLOW_ADDRS|FULL_INFO)`)},
	{header: "linux/tls.h", level: solTLS, options: exactly(`TLS_[TR]X\w*`)},
	{header: "linux/netlink.h", level: solNetlink, options: exactly(`NETLINK_\w+`), not: notNetlink},
	{header: "linux/if_packet.h", level: solPacket, options: exactly(`PACKET_\w+`),
		not: exactly(`PACKET_(HOST|BROADCAST|MULTICAST|OTHERHOST|OUTGOING|LOOPBACK|USER|KERNEL|FASTROUTE|MR_\w+|FANOUT_(HASH|LB|CPU|ROLLOVER|RND|QM|CBPF|EBPF|FLAG_\w+))`)},
	{header: "linux/if_xdp.h", level: solXDP, options: exactly(`XDP_\w+`),
		not: exactly(`XDP_(SHARED_UMEM|COPY|ZEROCOPY|USE_\w+|UMEM_(UNALIGNED|TX_SW_CSUM|TX_METADATA|PGOFF)_?\w*|OPTIONS_ZEROCOPY|RING_\w+|PGOFF_\w+|PKT_CONTD|TXMD_\w+|TX_METADATA)`)},
	{header: "linux/vm_sockets.h", level: solVSOCK, options: exactly(`SO_VM_SOCKETS_\w+`), not: exactly(`SO_VM_SOCKETS_CONNECT_TIMEOUT`)},

	{header: "linux/can/raw.h", level: solCANRaw, options: exactly(`CAN_RAW_\w+`), not: exactly(`CAN_RAW_(FILTER_MAX|XL_VCID_(TX|RX)_\w+)`)},
	{header: "linux/can/isotp.h", level: solCANISOTP, options: exactly(`CAN_ISOTP_(OPTS|RECV_FC|[TR]X_STMIN|LL_OPTS)`)},
	{header: "linux/can/j1939.h", level: solCANJ1939, options: exactly(`SO_J1939_\w+`)},

	{header: "linux/rds.h", level: solRDS, options: exactly(`SO_RDS_\w+|RDS6?_INFO_\w+|RDS_(CANCEL_SENT_TO|GET_MR|FREE_MR|RECVERR|CONG_MONITOR|GET_MR_FOR_DEST)`),
		not: exactly(`RDS_INFO_(FIRST|LAST|(CONNECTION|MESSAGE)_FLAG_\w+)`)},
	{header: "asm-generic/socket.h", level: solRDS, options: exactly(`SO_TIMESTAMP_(OLD|NEW)`)}, // net/rds/af_rds.c takes them at its own level
	{header: "linux/tipc.h", level: solTIPC, options: exactly(`TIPC_((SRC|DEST)_DROPPABLE|IMPORTANCE|CONN_TIMEOUT|(NODE|SOCK)_RECVQ_\w+|MCAST_\w+|GROUP_(JOIN|LEAVE)|NODELAY)`)},

	{header: "net/bluetooth/bluetooth.h", internal: true, level: solBluetooth, options: exactly(`BT_\w+`), not: notBluetooth},
	{header: "net/bluetooth/hci_sock.h", internal: true, level: 0, family: afBluetooth, options: exactly(`HCI_(DATA_DIR|FILTER|TIME_STAMP)`)},
	{header: "net/bluetooth/l2cap.h", internal: true, level: solL2CAP, family: afBluetooth, options: exactly(`L2CAP_(OPTIONS|CONNINFO|LM)`)},
	{header: "net/bluetooth/sco.h", internal: true, level: solSCO, family: afBluetooth, options: exactly(`SCO_(OPTIONS|CONNINFO)`)},
	{header: "net/bluetooth/rfcomm.h", internal: true, level: solRFCOMM, options: exactly(`RFCOMM_(CONNINFO|LM)`)},

	{header: "linux/if_alg.h", level: solALG, options: exactly(`ALG_SET_\w+`)},
	{header: "linux/if_pppol2tp.h", level: solPPPoL2TP, options: exactly(`PPPOL2TP_SO_\w+`)},
	{header: "linux/llc.h", level: solLLC, options: exactly(`LLC_OPT_\w+`), not: exactly(`LLC_OPT_MAX\w*`)},
	{header: "linux/kcm.h", level: solKCM, options: exactly(`KCM_\w+`)},
	{header: "linux/x25.h", level: solX25, options: exactly(`X25_QBITINCL`)},
	{header: "linux/ax25.h", level: solAX25, options: exactly(`AX25_\w+`), not: exactly(`AX25_(MTU|MAX_DIGIS|KILL|SET_RT_\w+|NOUID_\w+)`)},
	{header: "asm-generic/socket.h", level: solAX25, options: exactly(`SO_BINDTODEVICE`)}, // net/ax25/af_ax25.c takes it at its own level
	{header: "linux/netrom.h", level: solNETROM, options: exactly(`NETROM_\w+`), not: exactly(`NETROM_(MTU|KILL|NODE|NEIGH)`)},
	{header: "linux/rose.h", level: solROSE, options: exactly(`ROSE_\w+`), not: exactly(`ROSE_(MTU|MAX_DIGIS|KILL|DTE_ORIGINATED|NUMBER_BUSY|INVALID_FACILITY|NETWORK_CONGESTION|OUT_OF_ORDER|ACCESS_BARRED|NOT_OBTAINABLE|REMOTE_PROCEDURE|LOCAL_PROCEDURE|SHIP_ABSENT)`)},
	{header: "linux/atm.h", level: solATM, options: exactly(`SO_(SETCLP|CIRANGE|ATMSAP|ATMPVC|MULTIPOINT|ATMQOS)`)},
	{header: "linux/atm.h", level: solAAL, options: exactly(`SO_(ATMQOS|ATMSAP)`)},
	{header: "linux/socket.h", internal: true, level: solIPX, options: exactly(`IPX_TYPE`)},
	{header: "linux/rxrpc.h", level: solRxRPC, options: exactly(`RXRPC_\w+`), not: notRxRPC},
	{header: "linux/phonet.h", level: solPNPipe, options: exactly(`PNPIPE_\w+`), not: exactly(`PNPIPE_ENCAP_\w+`)},
	{header: "linux/caif/caif_socket.h", level: solCAIF, options: exactly(`CAIFSO_\w+`)},
	{header: "linux/nfc.h", level: solNFC, options: exactly(`NFC_LLCP_\w+`), not: exactly(`NFC_LLCP_(MAX_SERVICE_NAME|DIRECTION_\w+)`)},
	{header: "linux/mctp.h", level: solMCTP, options: exactly(`MCTP_OPT_\w+`)},
	{header: "linux/smc.h", level: solSMC, options: exactly(`SMC_LIMIT_HS`)},
	{header: "net/iucv/af_iucv.h", internal: true, level: solIUCV, options: exactly(`SO_\w+`)},
	{header: "linux/mISDNif.h", internal: true, level: 0, family: afISDN, options: exactly(`MISDN_TIME_STAMP`)},
	{header: "net/af_ieee802154.h", internal: true, level: 0, family: afIEEE802154, options: exactly(`WPAN_\w+`), not: exactly(`WPAN_SECURITY_(DEFAULT|OFF|ON|LEVEL_DEFAULT)`)},
}

var (
	notSCTP = exactly(`SCTP_(FUTURE|CURRENT|ALL)_ASSOC|SCTP_PR_SCTP_\w+|SCTP_ENABLE_(RESET|CHANGE|STRRESET)_(STREAM_REQ|ASSOC_REQ|MASK)|` +
		`SCTP_(STREAM_RESET|STREAM_CHANGE|ASSOC_RESET|ASSOC_CHANGE)\w*|SCTP_(ADDR|BINDX|AUTH_HMAC_ID|SS|SN_TYPE)_\w+|` +
		`SCTP_(SNDRCV|SNDINFO|RCVINFO|NXTINFO|PRINFO|AUTHINFO|DSTADDRV4|DSTADDRV6|INIT)|SCTP_AUTH_(NEWKEY|NEW_KEY|FREE_KEY|NO_AUTH)|` +
		`SCTP_(COMM_UP|COMM_LOST|RESTART|SHUTDOWN_\w+|CANT_STR_ASSOC|DATA_\w+|PARTIAL_DELIVERY_(ABORTED|EVENT)|PEER_ADDR_CHANGE|SEND_FAILED\w*|REMOTE_ERROR|` +
		`ADAPTATION_INDICATION|AUTHENTICATION_\w+|SENDER_DRY_EVENT|FAILED_THRESHOLD|RECEIVED_SACK|HEARTBEAT_SUCCESS|RESPONSE_TO_USER_REQ|` +
		`INTERNAL_ERROR|PEER_FAULTY|POTENTIALLY_FAILED|UNORDERED|ABORT|SACK_IMMEDIATELY|SENDALL|NOTIFICATION|EOF|` +
		`INACTIVE|PF|ACTIVE|UNCONFIRMED|UNKNOWN|EMPTY|CLOSED|COOKIE_WAIT|COOKIE_ECHOED|ESTABLISHED)|` +
		`SCTP_(DELAYED_ACK|DELAYED_ACK_TIME|EXPOSE_PF_STATE)`) // the last three: other names of options
	notNetlink = exactly(`NETLINK_(ROUTE|UNUSED|USERSOCK|FIREWALL|SOCK_DIAG|NFLOG|XFRM|SELINUX|ISCSI|AUDIT|FIB_LOOKUP|CONNECTOR|NETFILTER|` +
		`IP6_FW|DNRTMSG|KOBJECT_UEVENT|GENERIC|SCSITRANSPORT|ECRYPTFS|RDMA|CRYPTO|SMC|INET_DIAG|UNCONNECTED|CONNECTED)`)
	notBluetooth = exactly(`BT_(SUBSYS_\w+|SKB_RESERVE|SECURITY_\w+|FLUSHABLE_\w+|POWER_\w+|CHANNEL_POLICY_\w+|VOICE_\w+|PHY_\w+|MODE_\w+|SCM_\w+|ISO_(QOS_|PHY_|SYNC_)\w+|` +
		`CODEC_\w+|CONNECTED|OPEN|BOUND|LISTEN|CONNECT2?|CONFIG|DISCONN|CLOSED|SK_\w+|ERR|INFO|WARN|DBG|LOG\w*)`)
	notRxRPC = exactly(`RXRPC_SECURITY_(PLAIN|AUTH|ENCRYPT|NONE|RXKAD|RXGK|RXK5|YFS_RXGK)|RXRPC_(USER_CALL_ID|ABORT|ACK|NET_ERROR|BUSY|LOCAL_ERROR|NEW_CALL|` +
		`EXCLUSIVE_CALL|UPGRADE_SERVICE|TX_LENGTH|SET_CALL_TIMEOUT|CHARGE_ACCEPT|OOB_ID|CHALLENGED|RESPOND|RESPONDED|RESP_RXGK_APPDATA|_SUPPORTED)`)
)

// programmersName turns the kernel's name for the variant with the word size's own time into the one programs use.
func programmersName(name string) string {
	switch name {
	case "SO_TIMESTAMP_OLD", "SO_TIMESTAMPNS_OLD", "SO_TIMESTAMPING_OLD", "SO_RCVTIMEO_OLD", "SO_SNDTIMEO_OLD",
		"SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD":
		return name[:len(name)-len("_OLD")]
	}
	return name
}
