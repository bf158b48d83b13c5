// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path"
	"strings"
)

// A rule selects the names of a header that are socket options of a level. A name that
// matches `options` is an option unless it matches `not` too: the reviewed list of names
// with the same prefix that are no options (values, limits, flags, and setsockopt's name
// for a number that getsockopt names differently). So a name that a newer kernel adds
// becomes an option until it is reviewed.
type rule struct {
	header   string // below a header root
	internal bool   // of the kernel's own headers (linux-headers-*), not of the UAPI
	level    int32
	family   uint16 // the only address family that uses the level for this; 0: all
	options  names
	not      names
}

// names are patterns of path.Match, separated by white space.
type names string

func (n names) match(name string) bool {
	for pattern := range strings.FieldsSeq(string(n)) {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			return true
		}
	}
	return false
}

func (r rule) isOption(name string) bool { return r.options.match(name) && !r.not.match(name) }

func uapi(header string, level int32, options names) rule {
	return rule{header: header, level: level, options: options}
}

func kernel(header string, level int32, options names) rule {
	return rule{header: header, internal: true, level: level, options: options}
}

func (r rule) except(not names) rule { r.not = not; return r }
func (r rule) of(family uint16) rule { r.family = family; return r }

const (
	afInet6      = 10
	afBluetooth  = 31
	afISDN       = 34
	afIEEE802154 = 36
)

// The numbers of include/linux/socket.h and the headers of CAN.
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

// notSocket are the names whose number depends on the word size, and BPF's second name
// for a number.
const notSocket names = `SO_TIMESTAMP SO_TIMESTAMPNS SO_TIMESTAMPING SO_RCVTIMEO SO_SNDTIMEO
	SO_ATTACH_FILTER SO_DETACH_BPF`

var rules = []rule{
	uapi("asm-generic/socket.h", solSocket, `SO_*`).except(notSocket),

	uapi("linux/in.h", solIP, `IP_* MCAST_*`).
		except(`IP_PMTUDISC_* IP_DEFAULT_* MCAST_EXCLUDE MCAST_INCLUDE IP_RECVRETOPTS IP_RECVORIGDSTADDR`),
	uapi("linux/mroute.h", solIP, `MRT_*`).except(`MRT_BASE MRT_MAX MRT_FLUSH_*`),
	uapi("linux/netfilter_ipv4.h", solIP, `SO_*`),
	uapi("linux/netfilter_ipv4/ip_tables.h", solIP, `IPT_SO_GET_*`).except(`*_MAX`),
	uapi("linux/netfilter_arp/arp_tables.h", solIP, `ARPT_SO_GET_*`).except(`*_MAX`),
	uapi("linux/netfilter_bridge/ebtables.h", solIP, `EBT_SO_GET_*`).except(`*_MAX`),
	uapi("linux/netfilter/ipset/ip_set.h", solIP, `SO_*`),
	uapi("linux/ip_vs.h", solIP, `IP_VS_SO_GET_*`).except(`*_MAX`),
	uapi("linux/ip_vs.h", solIP, `IP_VS_SO_SET_*`).except(`*_MAX *_NONE *_INSERT *_ADD *_EDIT *_DEL *_FLUSH *_LIST *_ADDDEST`),

	uapi("linux/in6.h", solIPv6, `IPV6_*`).except(`
		IPV6_FL_* IPV6_PRIORITY_* IPV6_TLV_* IPV6_PMTUDISC_* IPV6_PREFER_SRC_* IPV6_FLOWINFO_FLOWLABEL
		IPV6_FLOWINFO_PRIORITY IPV6_RECVORIGDSTADDR`),
	uapi("linux/in.h", solIPv6, `MCAST_*`).except(`MCAST_EXCLUDE MCAST_INCLUDE`),
	uapi("linux/mroute6.h", solIPv6, `MRT6_*`).except(`MRT6_BASE MRT6_MAX MRT6_FLUSH_*`),
	uapi("linux/netfilter_ipv6/ip6_tables.h", solIPv6, `IP6T_SO_GET_* IP6T_SO_ORIGINAL_DST`).except(`*_MAX`),
	uapi("linux/in6.h", solRaw, `IPV6_CHECKSUM IPV6_HDRINCL`).of(afInet6), // net/ipv6/raw.c takes them at both levels

	uapi("linux/tcp.h", solTCP, `TCP_*`).except(`
		TCP_MSS_* TCP_REPAIR_ON TCP_REPAIR_OFF* TCP_MD5SIG_MAXKEYLEN TCP_MD5SIG_FLAG_* TCP_AO_MAXKEYLEN TCP_AO_KEYF_*
		TCP_RECEIVE_ZEROCOPY_FLAG_* TCP_FLAG_* TCP_CA_* TCP_NLA_* TCP_ACCECN_* TCP_RESERVED_BITS TCP_DATA_OFFSET
		TCP_NO_QUEUE TCP_RECV_QUEUE TCP_SEND_QUEUE TCP_QUEUES_NR TCP_CM_INQ`),
	uapi("linux/udp.h", solUDP, `UDP_*`).except(`UDP_ENCAP_*`),
	kernel("net/udplite.h", solUDP, `UDPLITE_*`), // udp_lib_getsockopt serves both levels
	uapi("linux/udp.h", solUDPLite, `UDP_*`).except(`UDP_ENCAP_*`),
	kernel("net/udplite.h", solUDPLite, `UDPLITE_*`),
	uapi("linux/icmp.h", solRaw, `ICMP_FILTER`),
	uapi("linux/icmpv6.h", solICMPv6, `ICMPV6_FILTER`),

	uapi("linux/sctp.h", solSCTP, `SCTP_*`).except(notSCTP),
	uapi("linux/dccp.h", solDCCP, `DCCP_SOCKOPT_*`),
	uapi("linux/mptcp.h", solMPTCP, `MPTCP_INFO MPTCP_TCPINFO MPTCP_SUBFLOW_ADDRS MPTCP_FULL_INFO`),
	uapi("linux/tls.h", solTLS, `TLS_TX* TLS_RX*`),
	uapi("linux/netlink.h", solNetlink, `NETLINK_*`).except(notNetlink),
	uapi("linux/if_packet.h", solPacket, `PACKET_*`).except(notPacket),
	uapi("linux/if_xdp.h", solXDP, `XDP_*`).except(`
		XDP_SHARED_UMEM XDP_COPY XDP_ZEROCOPY XDP_USE_* XDP_UMEM_UNALIGNED_* XDP_UMEM_TX_* XDP_UMEM_PGOFF_*
		XDP_OPTIONS_ZEROCOPY XDP_RING_* XDP_PGOFF_* XDP_PKT_CONTD XDP_TXMD_* XDP_TX_METADATA`),
	uapi("linux/vm_sockets.h", solVSOCK, `SO_VM_SOCKETS_*`).except(`SO_VM_SOCKETS_CONNECT_TIMEOUT`),

	uapi("linux/can/raw.h", solCANRaw, `CAN_RAW_*`).except(`CAN_RAW_FILTER_MAX CAN_RAW_XL_VCID_TX_* CAN_RAW_XL_VCID_RX_*`),
	uapi("linux/can/isotp.h", solCANISOTP, `CAN_ISOTP_OPTS CAN_ISOTP_RECV_FC CAN_ISOTP_[TR]X_STMIN CAN_ISOTP_LL_OPTS`),
	uapi("linux/can/j1939.h", solCANJ1939, `SO_J1939_*`),

	uapi("linux/rds.h", solRDS, `
		SO_RDS_* RDS_INFO_* RDS6_INFO_* RDS_CANCEL_SENT_TO RDS_GET_MR RDS_FREE_MR RDS_RECVERR RDS_CONG_MONITOR
		RDS_GET_MR_FOR_DEST`).except(`RDS_INFO_FIRST RDS_INFO_LAST RDS_INFO_CONNECTION_FLAG_* RDS_INFO_MESSAGE_FLAG_*`),
	uapi("asm-generic/socket.h", solRDS, `SO_TIMESTAMP_OLD SO_TIMESTAMP_NEW`), // net/rds/af_rds.c takes them at its own level
	uapi("linux/tipc.h", solTIPC, `
		TIPC_IMPORTANCE TIPC_SRC_DROPPABLE TIPC_DEST_DROPPABLE TIPC_CONN_TIMEOUT TIPC_NODE_RECVQ_* TIPC_SOCK_RECVQ_*
		TIPC_MCAST_* TIPC_GROUP_JOIN TIPC_GROUP_LEAVE TIPC_NODELAY`),

	kernel("net/bluetooth/bluetooth.h", solBluetooth, `BT_*`).except(notBluetooth),
	kernel("net/bluetooth/hci_sock.h", solIP, `HCI_DATA_DIR HCI_FILTER HCI_TIME_STAMP`).of(afBluetooth),
	kernel("net/bluetooth/l2cap.h", solL2CAP, `L2CAP_OPTIONS L2CAP_CONNINFO L2CAP_LM`).of(afBluetooth),
	kernel("net/bluetooth/sco.h", solSCO, `SCO_OPTIONS SCO_CONNINFO`).of(afBluetooth),
	kernel("net/bluetooth/rfcomm.h", solRFCOMM, `RFCOMM_CONNINFO RFCOMM_LM`),

	uapi("linux/if_alg.h", solALG, `ALG_SET_*`),
	uapi("linux/if_pppol2tp.h", solPPPoL2TP, `PPPOL2TP_SO_*`),
	uapi("linux/llc.h", solLLC, `LLC_OPT_*`).except(`LLC_OPT_MAX*`),
	uapi("linux/kcm.h", solKCM, `KCM_*`),
	uapi("linux/x25.h", solX25, `X25_QBITINCL`),
	uapi("linux/ax25.h", solAX25, `AX25_*`).except(`AX25_MTU AX25_MAX_DIGIS AX25_KILL AX25_SET_RT_* AX25_NOUID_*`),
	uapi("asm-generic/socket.h", solAX25, `SO_BINDTODEVICE`), // net/ax25/af_ax25.c takes it at its own level
	uapi("linux/netrom.h", solNETROM, `NETROM_*`).except(`NETROM_MTU NETROM_KILL NETROM_NODE NETROM_NEIGH`),
	uapi("linux/rose.h", solROSE, `ROSE_DEFER ROSE_T? ROSE_IDLE ROSE_QBITINCL ROSE_HOLDBACK`), // frozen: the header is gone in 7.2
	uapi("linux/atm.h", solATM, `SO_SETCLP SO_CIRANGE SO_ATMQOS SO_ATMSAP SO_ATMPVC SO_MULTIPOINT`),
	uapi("linux/atm.h", solAAL, `SO_ATMQOS SO_ATMSAP`),
	kernel("linux/socket.h", solIPX, `IPX_TYPE`),
	uapi("linux/rxrpc.h", solRxRPC, `RXRPC_*`).except(notRxRPC),
	uapi("linux/phonet.h", solPNPipe, `PNPIPE_*`).except(`PNPIPE_ENCAP_*`),
	uapi("linux/caif/caif_socket.h", solCAIF, `CAIFSO_*`),
	uapi("linux/nfc.h", solNFC, `NFC_LLCP_*`).except(`NFC_LLCP_MAX_SERVICE_NAME`),
	uapi("linux/mctp.h", solMCTP, `MCTP_OPT_*`),
	uapi("linux/smc.h", solSMC, `SMC_LIMIT_HS`),
	kernel("net/iucv/af_iucv.h", solIUCV, `SO_*`),
	kernel("linux/mISDNif.h", solIP, `MISDN_TIME_STAMP`).of(afISDN),
	kernel("net/af_ieee802154.h", solIP, `WPAN_*`).of(afIEEE802154).
		except(`WPAN_SECURITY_DEFAULT WPAN_SECURITY_OFF WPAN_SECURITY_ON WPAN_SECURITY_LEVEL_DEFAULT`),
}

const (
	notSCTP names = `
		SCTP_FUTURE_ASSOC SCTP_CURRENT_ASSOC SCTP_ALL_ASSOC SCTP_PR_SCTP_* SCTP_ENABLE_RESET_*
		SCTP_ENABLE_CHANGE_* SCTP_ENABLE_STRRESET_*
		SCTP_STREAM_RESET_* SCTP_STREAM_CHANGE_* SCTP_ASSOC_RESET_* SCTP_ASSOC_CHANGE* SCTP_ADDR_* SCTP_BINDX_*
		SCTP_AUTH_HMAC_ID_* SCTP_SS_* SCTP_SN_TYPE_* SCTP_INIT SCTP_SNDRCV SCTP_SNDINFO SCTP_RCVINFO SCTP_NXTINFO
		SCTP_PRINFO SCTP_AUTHINFO SCTP_DSTADDRV[46] SCTP_AUTH_NEWKEY SCTP_AUTH_NEW_KEY SCTP_AUTH_FREE_KEY
		SCTP_AUTH_NO_AUTH SCTP_COMM_UP SCTP_COMM_LOST SCTP_RESTART SCTP_SHUTDOWN_* SCTP_CANT_STR_ASSOC SCTP_DATA_*
		SCTP_PARTIAL_DELIVERY_ABORTED SCTP_PARTIAL_DELIVERY_EVENT SCTP_PEER_ADDR_CHANGE SCTP_SEND_FAILED*
		SCTP_REMOTE_ERROR SCTP_ADAPTATION_INDICATION SCTP_AUTHENTICATION_* SCTP_SENDER_DRY_EVENT
		SCTP_FAILED_THRESHOLD SCTP_RECEIVED_SACK SCTP_HEARTBEAT_SUCCESS SCTP_RESPONSE_TO_USER_REQ
		SCTP_INTERNAL_ERROR SCTP_PEER_FAULTY SCTP_POTENTIALLY_FAILED SCTP_UNORDERED SCTP_ABORT
		SCTP_SACK_IMMEDIATELY SCTP_SENDALL SCTP_NOTIFICATION SCTP_EOF SCTP_INACTIVE SCTP_PF SCTP_ACTIVE
		SCTP_UNCONFIRMED SCTP_UNKNOWN SCTP_EMPTY SCTP_CLOSED SCTP_COOKIE_* SCTP_ESTABLISHED
		SCTP_DELAYED_ACK SCTP_DELAYED_ACK_TIME SCTP_EXPOSE_PF_STATE` // the last line: other names of options

	notNetlink names = `
		NETLINK_ROUTE NETLINK_UNUSED NETLINK_USERSOCK NETLINK_FIREWALL NETLINK_SOCK_DIAG NETLINK_NFLOG NETLINK_XFRM
		NETLINK_SELINUX NETLINK_ISCSI NETLINK_AUDIT NETLINK_FIB_LOOKUP NETLINK_CONNECTOR NETLINK_NETFILTER
		NETLINK_IP6_FW NETLINK_DNRTMSG NETLINK_KOBJECT_UEVENT NETLINK_GENERIC NETLINK_SCSITRANSPORT NETLINK_ECRYPTFS
		NETLINK_RDMA NETLINK_CRYPTO NETLINK_SMC NETLINK_INET_DIAG NETLINK_UNCONNECTED NETLINK_CONNECTED`

	notPacket names = `
		PACKET_HOST PACKET_BROADCAST PACKET_MULTICAST PACKET_OTHERHOST PACKET_OUTGOING PACKET_LOOPBACK PACKET_USER
		PACKET_KERNEL PACKET_FASTROUTE PACKET_MR_* PACKET_FANOUT_HASH PACKET_FANOUT_LB PACKET_FANOUT_CPU
		PACKET_FANOUT_ROLLOVER PACKET_FANOUT_RND PACKET_FANOUT_QM PACKET_FANOUT_CBPF PACKET_FANOUT_EBPF
		PACKET_FANOUT_FLAG_*`

	notBluetooth names = `
		BT_SUBSYS_* BT_SKB_RESERVE BT_SECURITY_* BT_FLUSHABLE_* BT_POWER_* BT_CHANNEL_POLICY_* BT_VOICE_* BT_PHY_*
		BT_MODE_* BT_SCM_* BT_ISO_QOS_* BT_ISO_PHY_* BT_ISO_SYNC_* BT_CODEC_* BT_CONNECTED BT_OPEN BT_BOUND BT_LISTEN
		BT_CONNECT BT_CONNECT2 BT_CONFIG BT_DISCONN BT_CLOSED BT_SK_*`

	notRxRPC names = `
		RXRPC_SECURITY_PLAIN RXRPC_SECURITY_AUTH RXRPC_SECURITY_ENCRYPT RXRPC_SECURITY_NONE RXRPC_SECURITY_RXKAD
		RXRPC_SECURITY_RXGK RXRPC_SECURITY_RXK5 RXRPC_SECURITY_YFS_RXGK RXRPC_USER_CALL_ID RXRPC_ABORT RXRPC_ACK
		RXRPC_NET_ERROR RXRPC_BUSY RXRPC_LOCAL_ERROR RXRPC_NEW_CALL RXRPC_EXCLUSIVE_CALL RXRPC_UPGRADE_SERVICE
		RXRPC_TX_LENGTH RXRPC_SET_CALL_TIMEOUT RXRPC_CHARGE_ACCEPT RXRPC_OOB_ID RXRPC_CHALLENGED RXRPC_RESPOND
		RXRPC_RESPONDED RXRPC_RESP_RXGK_APPDATA RXRPC__SUPPORTED`
)

// programmersName returns the name that programs use for an option with a time of the
// word size, which the kernel's headers name *_OLD.
func programmersName(name string) string {
	switch name {
	case "SO_TIMESTAMP_OLD", "SO_TIMESTAMPNS_OLD", "SO_TIMESTAMPING_OLD", "SO_RCVTIMEO_OLD", "SO_SNDTIMEO_OLD",
		"SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD":
		return name[:len(name)-len("_OLD")]
	}
	return name
}
