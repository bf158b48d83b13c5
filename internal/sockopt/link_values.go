// SPDX-License-Identifier: Apache-2.0

package sockopt

import "strconv"

// Values of families other than IP: packet, XDP, CAN, TIPC, RDS,
// DCCP and Bluetooth.

// PACKET_FANOUT: the group's id in the low half, its mode and flags in the
// high one (net/packet/af_packet.c).
func decodeFanout(v view) Value {
	u, ok := v.u32(0)
	switch {
	case !ok:
		return decodeUint(v)
	case u == 0:
		return number(0)
	}
	dst := append([]byte(nil), "{id="...)
	dst = strconv.AppendUint(dst, uint64(u&0xffff), 10)
	dst = append(dst, ", type="...)
	dst = append(dst, enumName(fanoutModes, int64(u>>16&0xff))...)
	if flags := u >> 24; flags != 0 {
		dst = append(dst, ", flags="...)
		dst = appendFlags(dst, fanoutFlags, uint64(flags)<<8)
	}
	return namedNumber(string(append(dst, '}')), int64(u))
}

// include/uapi/linux/if_packet.h
var (
	tpacketVersions = enum{"TPACKET_V1", "TPACKET_V2", "TPACKET_V3"}
	fanoutModes     = enum{
		"PACKET_FANOUT_HASH", "PACKET_FANOUT_LB", "PACKET_FANOUT_CPU", "PACKET_FANOUT_ROLLOVER", "PACKET_FANOUT_RND",
		"PACKET_FANOUT_QM", "PACKET_FANOUT_CBPF", "PACKET_FANOUT_EBPF",
	}
	fanoutFlags = []flag{
		{0x1000, "PACKET_FANOUT_FLAG_ROLLOVER"},
		{0x2000, "PACKET_FANOUT_FLAG_UNIQUEID"},
		{0x4000, "PACKET_FANOUT_FLAG_IGNORE_OUTGOING"},
		{0x8000, "PACKET_FANOUT_FLAG_DEFRAG"},
	}

	// struct tpacket_stats, and with TPACKET_V3 a third number.
	packetStatistics   = structure(u32("tp_packets"), u32("tp_drops"), u32("tp_freeze_q_cnt"))
	rolloverStatistics = structure(u64("tp_all"), u64("tp_huge"), u64("tp_failed"))
)

// include/uapi/linux/if_xdp.h
var (
	xdpOptions = []flag{{1, "XDP_OPTIONS_ZEROCOPY"}}

	// struct xdp_mmap_offsets of four rings; what a program uses to map them.
	xdpOffsets = structure(
		u64("rx.producer"), u64("rx.consumer"), u64("rx.desc"), u64("rx.flags"),
		u64("tx.producer"), u64("tx.consumer"), u64("tx.desc"), u64("tx.flags"),
		u64("fr.producer"), u64("fr.consumer"), u64("fr.desc"), u64("fr.flags"),
		u64("cr.producer"), u64("cr.consumer"), u64("cr.desc"), u64("cr.flags"))

	// The last three came with 5.9.
	xdpStatistics = structure(
		u64("rx_dropped"), u64("rx_invalid_descs"), u64("tx_invalid_descs"), u64("rx_ring_full"),
		u64("rx_fill_ring_empty_descs"), u64("tx_ring_empty_descs"))
)

// CAN_RAW_FILTER is a list of struct can_filter, written as candump takes it:
// id:mask, or id~mask for what must not match.
func decodeCANFilter(v view) Value {
	const inverted = 0x20000000 // CAN_INV_FILTER
	return list(v, 8, func(dst []byte, at int) []byte {
		id := v.unsigned(at, 4)
		sep := byte(':')
		if id&inverted != 0 {
			id, sep = id&^inverted, '~'
		}
		dst = append(strconv.AppendUint(dst, id, 16), sep)
		return strconv.AppendUint(dst, v.unsigned(at+4, 4), 16)
	})
}

// include/uapi/linux/can/raw.h and isotp.h
var (
	canVCID      = structure(u8("flags").as(asHex), u8("tx_vcid"), u8("rx_vcid"), u8("rx_vcid_mask").as(asHex))
	isotpOptions = structure(
		u32("flags").flagged(isotpFlags), u32("frame_txtime"), u8("ext_address").as(asHex),
		u8("txpad_content").as(asHex), u8("rxpad_content").as(asHex), u8("rx_ext_address").as(asHex))
	isotpFlowControl = structure(u8("bs"), u8("stmin"), u8("wftmax"))
	isotpLinkLayer   = structure(u8("mtu"), u8("tx_dl"), u8("tx_flags").as(asHex))
	isotpFlags       = []flag{
		{0x0001, "CAN_ISOTP_LISTEN_MODE"},
		{0x0002, "CAN_ISOTP_EXTEND_ADDR"},
		{0x0004, "CAN_ISOTP_TX_PADDING"},
		{0x0008, "CAN_ISOTP_RX_PADDING"},
		{0x0010, "CAN_ISOTP_CHK_PAD_LEN"},
		{0x0020, "CAN_ISOTP_CHK_PAD_DATA"},
		{0x0040, "CAN_ISOTP_HALF_DUPLEX"},
		{0x0080, "CAN_ISOTP_FORCE_TXSTMIN"},
		{0x0100, "CAN_ISOTP_FORCE_RXSTMIN"},
		{0x0200, "CAN_ISOTP_RX_EXT_ADDR"},
		{0x0400, "CAN_ISOTP_WAIT_TX_DONE"},
		{0x0800, "CAN_ISOTP_SF_BROADCAST"},
		{0x1000, "CAN_ISOTP_CF_BROADCAST"},
		{0x2000, "CAN_ISOTP_DYN_FC_PARMS"},
	}
)

// include/uapi/linux/tipc.h and rds.h
var (
	tipcImportances = enum{"TIPC_LOW_IMPORTANCE", "TIPC_MEDIUM_IMPORTANCE", "TIPC_HIGH_IMPORTANCE", "TIPC_CRITICAL_IMPORTANCE"}
	tipcGroup       = structure(u32("type"), u32("instance"), u32("scope"), u32("flags").as(asHex))
	rdsTransports   = enum{"RDS_TRANS_IB", "RDS_TRANS_GAP", "RDS_TRANS_TCP"} // none: -1
)

// DCCP_SOCKOPT_AVAILABLE_CCIDS is an array of bytes.
func decodeCCIDs(v view) Value {
	return list(v, 1, func(dst []byte, at int) []byte {
		return strconv.AppendUint(dst, uint64(v.b[at]), 10)
	})
}

// DCCP_SOCKOPT_SERVICE is the service code and those it listens for, in
// network order.
func decodeServiceCodes(v view) Value {
	return list(v, 4, func(dst []byte, at int) []byte {
		return strconv.AppendUint(dst, bigEndianNumber(v.b[at:at+4]), 10)
	})
}

// include/linux/tfrc.h: DCCP's CCID 3.
var (
	tfrcReceiver = structure(u32("tfrcrx_x_recv"), u32("tfrcrx_rtt").us(), u32("tfrcrx_p"))
	tfrcSender   = structure(
		u64("tfrctx_x"), u64("tfrctx_x_recv"), u32("tfrctx_x_calc"), u32("tfrctx_rtt").us(), u32("tfrctx_p"),
		u32("tfrctx_rto").us(), u32("tfrctx_ipi"))
)

// include/uapi/linux/atm.h. Of a traffic's parameters those that everybody
// sets; behind them are ABR's.
var (
	atmClasses = enum{"ATM_NONE", "ATM_UBR", "ATM_CBR", "ATM_VBR", "ATM_ABR", "ATM_ANYCLASS"}
	atmQoS     = structure(
		u8("txtp.traffic_class").named(atmClasses), i32("txtp.max_pcr"), i32("txtp.pcr"), i32("txtp.min_pcr"),
		i32("txtp.max_cdv"), i32("txtp.max_sdu"), padding(16),
		u8("rxtp.traffic_class").named(atmClasses), i32("rxtp.max_pcr"), i32("rxtp.pcr"), i32("rxtp.min_pcr"),
		i32("rxtp.max_cdv"), i32("rxtp.max_sdu"), padding(16), u8("aal"))
	atmPVC = structure(padding(4), u16("itf").as(asSigned), u16("vpi").as(asSigned), i32("vci"))
)

// modes are the flags of a link, which L2CAP and RFCOMM name each for itself.
func modes(prefix string) []flag {
	flags := []flag{{1, "MASTER"}, {2, "AUTH"}, {4, "ENCRYPT"}, {8, "TRUSTED"}, {16, "RELIABLE"}, {32, "SECURE"}, {64, "FIPS"}}
	for i := range flags {
		flags[i].name = prefix + flags[i].name
	}
	return flags
}

// include/net/bluetooth
var (
	l2capModes  = modes("L2CAP_LM_")
	rfcommModes = modes("RFCOMM_LM_")
	phys        = []flag{
		{1 << 0, "BT_PHY_BR_1M_1SLOT"},
		{1 << 1, "BT_PHY_BR_1M_3SLOT"},
		{1 << 2, "BT_PHY_BR_1M_5SLOT"},
		{1 << 3, "BT_PHY_EDR_2M_1SLOT"},
		{1 << 4, "BT_PHY_EDR_2M_3SLOT"},
		{1 << 5, "BT_PHY_EDR_2M_5SLOT"},
		{1 << 6, "BT_PHY_EDR_3M_1SLOT"},
		{1 << 7, "BT_PHY_EDR_3M_3SLOT"},
		{1 << 8, "BT_PHY_EDR_3M_5SLOT"},
		{1 << 9, "BT_PHY_LE_1M_TX"},
		{1 << 10, "BT_PHY_LE_1M_RX"},
		{1 << 11, "BT_PHY_LE_2M_TX"},
		{1 << 12, "BT_PHY_LE_2M_RX"},
		{1 << 13, "BT_PHY_LE_CODED_TX"},
		{1 << 14, "BT_PHY_LE_CODED_RX"},
	}
	channelModes   = enum{"BT_MODE_BASIC", "BT_MODE_ERTM", "BT_MODE_STREAMING", "BT_MODE_LE_FLOWCTL", "BT_MODE_EXT_FLOWCTL"}
	securityLevels = enum{"BT_SECURITY_SDP", "BT_SECURITY_LOW", "BT_SECURITY_MEDIUM", "BT_SECURITY_HIGH", "BT_SECURITY_FIPS"}
	btSecurity     = structure(u8("level").named(securityLevels), u8("key_size"))
	hciFilter      = structure(
		u32("type_mask").as(asHex), u32("event_mask[0]").as(asHex), u32("event_mask[1]").as(asHex), u16("opcode").as(asHex))
	l2capOptions = structure(
		u16("omtu"), u16("imtu"), u16("flush_to"), u8("mode"), u8("fcs"), u8("max_tx"), u16("txwin_size"))

	// The same for L2CAP, SCO and RFCOMM.
	connInfo = structure(u16("hci_handle"), field{name: "dev_class", kind: asBytes, size: 3})
)
