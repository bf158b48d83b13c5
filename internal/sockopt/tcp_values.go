// SPDX-License-Identifier: Apache-2.0

package sockopt

// tcpInfo is struct tcp_info. Members are only ever added at its end, so the length
// depends on the kernel: 104 bytes up to 3.14, 232 in 5.10 and 6.1, 248 in 6.12, 280 in
// 6.18 and 7.2. The bit fields of the first bytes use gaps that older kernels fill
// with 0.
var tcpInfo = withAttributeRoot("tcp.info.", structure(
	u8("state").named(tcpStates).summary(),
	u8("ca_state").named(caStates),
	u8("retransmits").summary(),
	u8("probes"),
	u8("backoff"),
	u8("options").flagged(tcpiOptions),
	u8("snd_wscale").at(0, 4),
	u8("rcv_wscale").at(4, 4),
	u8("delivery_rate_app_limited").at(0, 1), // 4.9
	u8("fastopen_client_fail").at(1, 2),      // 5.5
	u32("rto").us(),
	u32("ato").us(),
	u32("snd_mss"),
	u32("rcv_mss"),
	u32("unacked"),
	u32("sacked"),
	u32("lost"),
	u32("retrans"),
	u32("fackets"),
	u32("last_data_sent").ms(),
	u32("last_ack_sent").ms(),
	u32("last_data_recv").ms(),
	u32("last_ack_recv").ms(),
	u32("pmtu"),
	u32("rcv_ssthresh"),
	u32("rtt").us().summary(),
	u32("rttvar").us().summary(),
	u32("snd_ssthresh"),
	u32("snd_cwnd").summary(),
	u32("advmss"),
	u32("reordering"),
	u32("rcv_rtt").us(),
	u32("rcv_space"),
	u32("total_retrans").summary(),
	u64("pacing_rate").as(asRate),
	u64("max_pacing_rate").as(asRate),
	u64("bytes_acked"),
	u64("bytes_received"),
	u32("segs_out"),
	u32("segs_in"),
	u32("notsent_bytes"),
	u32("min_rtt").us(),
	u32("data_segs_in"),
	u32("data_segs_out"),
	u64("delivery_rate").summary(),
	u64("busy_time").us(),
	u64("rwnd_limited").us(),
	u64("sndbuf_limited").us(),
	u32("delivered"),
	u32("delivered_ce"),
	u64("bytes_sent"),
	u64("bytes_retrans"),
	u32("dsack_dups"),
	u32("reord_seen"),
	u32("rcv_ooopack"),
	u32("snd_wnd"),
	u32("rcv_wnd"), // 6.2
	u32("rehash"),
	u16("total_rto"), // 6.7
	u16("total_rto_recoveries"),
	u32("total_rto_time").ms(),
	u32("received_ce"), // 6.18
	u32("delivered_e1_bytes"),
	u32("delivered_e0_bytes"),
	u32("delivered_ce_bytes"),
	u32("received_e1_bytes"),
	u32("received_e0_bytes"),
	u32("received_ce_bytes"),
	u32("ecn_mode").at(0, 2),
	u32("accecn_opt_seen").at(2, 2),
	u32("accecn_fail_mode").at(4, 4),
	u32("options2").at(8, 24),
))

// include/uapi/linux/tcp.h: enum tcp_ca_state, TCPI_OPT_*
var (
	caStates    = enum{"Open", "Disorder", "CWR", "Recovery", "Loss"}
	tcpiOptions = []flag{
		{1, "TCPI_OPT_TIMESTAMPS"},
		{2, "TCPI_OPT_SACK"},
		{4, "TCPI_OPT_WSCALE"},
		{8, "TCPI_OPT_ECN"},
		{16, "TCPI_OPT_ECN_SEEN"},
		{32, "TCPI_OPT_SYN_DATA"},
		{64, "TCPI_OPT_USEC_TS"},
		{128, "TCPI_OPT_TFO_CHILD"},
	}
	repairQueues = enum{"TCP_NO_QUEUE", "TCP_RECV_QUEUE", "TCP_SEND_QUEUE"}
)

var (
	tcpRepairWindow = structure(u32("snd_wl1"), u32("snd_wnd"), u32("max_window"), u32("rcv_wnd"), u32("rcv_wup"))

	// struct tcp_zerocopy_receive, which grew too. The summary leaves out its
	// addresses, which are the caller's own.
	tcpZeroCopy = structure(
		u64("address").as(asHex), u32("length").summary(), u32("recv_skip_hint").summary(), u32("inq").summary(),
		i32("err").as(asErrno).summary(), u64("copybuf_address").as(asHex), i32("copybuf_len").summary(), u32("flags").as(asHex),
		u64("msg_control").as(asHex), u64("msg_controllen"), u32("msg_flags").as(asHex))

	// struct tcp_ao_info_opt (6.7): counters and the numbers of keys, no keys.
	tcpAOInfo = structure(
		u32("set_current").at(0, 1), u32("set_rnext").at(1, 1), u32("ao_required").at(2, 1),
		u32("set_counters").at(3, 1), u32("accept_icmps").at(4, 1), padding(2), u8("current_key"), u8("rnext"),
		u64("pkt_good"), u64("pkt_bad"), u64("pkt_key_not_found"), u64("pkt_ao_required"), u64("pkt_dropped_icmp"))
)

// bbrInfo is the member of union tcp_cc_info that can be recognized by its length. The
// others, of Vegas and DCTCP, both have 16 bytes.
var bbrInfo = structure(
	u32("bbr_bw_lo"), u32("bbr_bw_hi"), u32("bbr_min_rtt").us(), u32("bbr_pacing_gain"), u32("bbr_cwnd_gain"))

func decodeCongestionInfo(v view) Value {
	if int(v.n) != bbrInfo.size {
		return Value{}
	}
	return Value{Text: bbrInfo.text(v)}
}

// include/uapi/linux/udp.h: UDP_ENCAP_*
var udpEncaps = enum{
	1: "UDP_ENCAP_ESPINUDP_NON_IKE", 2: "UDP_ENCAP_ESPINUDP", 3: "UDP_ENCAP_L2TPINUDP", 4: "UDP_ENCAP_GTP0",
	5: "UDP_ENCAP_GTP1U", 6: "UDP_ENCAP_RXRPC", 7: "TCP_ENCAP_ESPINTCP", 8: "UDP_ENCAP_OVPNINUDP",
}
