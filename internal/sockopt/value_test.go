// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFormat(t *testing.T) {
	const none = -1 << 63 // no number
	inet6 := Where{Family: afInet6}
	for _, test := range []struct {
		name  string
		value []byte
		where Where
		want  string
		int   int64
	}{
		{"SO_RCVBUF", raw(int32(131072)), Where{}, "131072", 131072},
		{"SO_INCOMING_CPU", raw(int32(-1)), Where{}, "-1", -1},
		{"SO_MARK", raw(uint32(0x80000001)), Where{}, "2147483649", 2147483649},
		{"SO_ERROR", raw(int32(0)), Where{}, "0", 0},
		{"SO_ERROR", raw(int32(111)), Where{}, "ECONNREFUSED", 111},
		{"SO_TYPE", raw(int32(1)), Where{}, TypeName(1), 1},
		{"SO_DOMAIN", raw(int32(10)), Where{}, "AF_INET6", 10},
		{"SO_DOMAIN", raw(int32(99)), Where{}, "99", 99},
		{"SO_PROTOCOL", raw(int32(6)), Where{Family: afInet}, "IPPROTO_TCP", 6},
		{"SO_PROTOCOL", raw(int32(262)), Where{Family: afInet}, "IPPROTO_MPTCP", 262},
		{"SO_PROTOCOL", raw(int32(0)), Where{Family: afNetlink}, "NETLINK_ROUTE", 0},
		{"SO_PROTOCOL", raw(int32(6)), Where{}, "6", 6},
		{"SO_LINGER", raw(int32(1), int32(5)), Where{}, "{l_onoff=1, l_linger=5}", none},
		{"SO_PEERCRED", raw(int32(1), int32(0), int32(-1)), Where{}, "{pid=1, uid=0, gid=-1}", none},
		{"SO_RCVTIMEO", raw(int64(1), int64(500000)), Where{}, "1.5s", none},
		{"SO_RCVTIMEO", raw(int64(0), int64(0)), Where{}, "0s", none},
		{"SO_RCVTIMEO", raw(int32(1), int32(500000)), Where{Compat: true}, "1.5s", none},
		{"SO_RCVTIMEO_NEW", raw(int64(0), int64(1)), Where{Compat: true}, "1µs", none},
		{"SO_RCVTIMEO", raw(int64(1)<<62, int64(0)), Where{}, "{tv_sec=4611686018427387904, tv_usec=0}", none},
		{"SO_PEERGROUPS", raw(uint32(0), uint32(4294967294)), Where{}, "[0, 4294967294]", none},
		{"SO_PEERSEC", raw("unconfined_u:s0\x00"), Where{}, "unconfined_u:s0", none},
		{"SO_BINDTODEVICE", raw("eth0\x00"), Where{}, "eth0", none},
		{"SO_COOKIE", raw(uint64(1)<<63 + 1), Where{}, "9223372036854775809", none},
		{"SO_COOKIE", raw(uint64(4097)), Where{}, "4097", 4097},
		{"SO_MAX_PACING_RATE", raw(^uint64(0)), Where{}, "-1", -1},
		{"SO_MAX_PACING_RATE", raw(^uint32(0)), Where{}, "-1", -1},
		{"SO_MAX_PACING_RATE", raw(uint64(1) << 32), Where{}, "4294967296", 1 << 32},
		{"SO_TIMESTAMPING", raw(uint32(0x90)), Where{}, "SOF_TIMESTAMPING_SOFTWARE|SOF_TIMESTAMPING_OPT_ID", 0x90},
		{"SO_TIMESTAMPING", raw(uint32(0x8000), int32(3)), Where{}, "{flags=SOF_TIMESTAMPING_BIND_PHC, bind_phc=3}", 0x8000},
		{"SO_TIMESTAMPING", raw(uint32(1 << 30)), Where{}, "0x40000000", 1 << 30},
		{"SO_TXTIME", raw(int32(11), uint32(2)), Where{}, "{clockid=CLOCK_TAI, flags=SOF_TXTIME_REPORT_ERRORS}", none},
		{"SO_TXREHASH", raw(int32(255)), Where{}, "SOCK_TXREHASH_DEFAULT", 255},
		{"SO_BUF_LOCK", raw(int32(3)), Where{}, "SOCK_SNDBUF_LOCK|SOCK_RCVBUF_LOCK", 3},

		{"SO_PEERNAME", sockaddr4(10, 0, 0, 7, 443), Where{}, "10.0.0.7:443", none},
		{"SO_PEERNAME", sockaddr6(80, 2, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), inet6, "[fe80::1%2]:80", none},
		{"SO_PEERNAME", sockaddr6(443, 0, mapped...), inet6, "10.0.0.7:443", none},
		{"SO_PEERNAME", raw(uint16(afUnix), "/run/x.sock\x00"), Where{}, "/run/x.sock", none},
		{"SO_PEERNAME", raw(uint16(afUnix), "/run/x y"), Where{}, `"/run/x y"`, none},
		{"SO_PEERNAME", raw(uint16(afUnix), "\x00abstract"), Where{}, "@abstract", none},
		{"SO_PEERNAME", raw(uint16(afUnix), "\x00a\x00\xff"), Where{}, `"@a\x00\xff"`, none},
		{"SO_PEERNAME", raw(uint16(afUnix)), Where{}, "(unnamed)", none},
		{"SO_PEERNAME", raw(uint16(afVSOCK), uint16(0), uint32(1234), uint32(2), uint32(0)), Where{}, "2:1234", none},
		{"SO_PEERNAME", raw(uint16(afNetlink), uint16(0), uint32(42), uint32(1)), Where{}, "{nl_pid=42, nl_groups=0x1}", none},
		{"SO_PEERNAME", raw(uint16(afX25), padded([]byte("123456"), 16)), Where{}, "{sx25_addr=123456}", none},
		{"SO_PEERNAME", raw(uint16(afPacket), be16(0x0800), int32(2), zeros(12)), Where{}, "{sll_protocol=2048, sll_ifindex=2}", none},
		{"SO_PEERNAME", raw(uint16(afCAN), uint16(0), int32(3), zeros(16)), Where{}, "{can_ifindex=3}", none},
		{
			"SO_PEERNAME", raw(uint16(afTIPC), uint8(3), uint8(2), uint32(7), uint32(9), uint32(0)),
			Where{},
			"{addrtype=TIPC_SOCKET_ADDR, scope=2, addr[0]=7, addr[1]=9}", none,
		},
		{
			"SO_PEERNAME", raw(uint16(afMCTP), uint16(0), uint32(1), []byte{8, 1, 0, 0}),
			Where{},
			"{smctp_network=1, smctp_addr=8, smctp_type=1, smctp_tag=0}", none,
		},
		{"SO_PEERNAME", raw(uint16(31), zeros(14)), Where{}, "AF_BLUETOOTH", none},
		{"SO_ORIGINAL_DST", sockaddr4(93, 184, 216, 34, 443), Where{}, "93.184.216.34:443", none},
		{"IP6T_SO_ORIGINAL_DST", sockaddr6(443, 0, 0x20, 1, 0xd, 0xb8), Where{}, "[2001:db8::]:443", none},

		{"IP_MULTICAST_IF", []byte{192, 168, 1, 2}, Where{}, "192.168.1.2", none},
		{"IP_UNICAST_IF", raw(be32(3)), Where{}, "3", 3},
		{"IP_MTU_DISCOVER", raw(int32(2)), Where{}, "IP_PMTUDISC_DO", 2},
		{"IP_LOCAL_PORT_RANGE", raw(uint32(40100<<16 | 40000)), Where{}, "40000-40100", 40100<<16 | 40000},
		{"IP_OPTIONS", []byte{0x94, 4, 0, 0}, Where{}, "94040000", none},
		{
			"IP_MSFILTER", raw([]byte{239, 0, 0, 1, 10, 0, 0, 1}, uint32(1), uint32(1), []byte{10, 0, 0, 2}),
			Where{},
			"{imsf_multiaddr=239.0.0.1, imsf_interface=10.0.0.1, imsf_fmode=MCAST_INCLUDE, imsf_slist=[10.0.0.2]}", none,
		},
		{
			"MCAST_MSFILTER", raw(uint64(2), padded(sockaddr4(239, 0, 0, 1, 0), 128), uint32(0), uint32(0)),
			Where{},
			"{gf_interface=2, gf_group=239.0.0.1:0, gf_fmode=MCAST_EXCLUDE, gf_slist=[]}", none,
		},
		{
			"MCAST_MSFILTER", raw(uint32(2), padded(sockaddr4(239, 0, 0, 1, 0), 128), uint32(0), uint32(0)),
			Where{Compat: true},
			"{gf_interface=2, gf_group=239.0.0.1:0, gf_fmode=MCAST_EXCLUDE, gf_slist=[]}", none,
		},
		{
			"IPT_SO_GET_INFO", raw(padded([]byte("nat"), 32), uint32(0x1b), zeros(40), uint32(9), uint32(1400)),
			Where{},
			"{name=nat, valid_hooks=NF_INET_PRE_ROUTING|NF_INET_LOCAL_IN|NF_INET_LOCAL_OUT|NF_INET_POST_ROUTING, num_entries=9, size=1400}", none,
		},
		{"IPT_SO_GET_ENTRIES", raw(padded([]byte("nat"), 32), uint32(1400)), Where{}, "{name=nat, size=1400}", none},
		{"IPV6_PATHMTU", raw(sockaddr6(0, 0, 0x20, 1), uint32(1500)), inet6, "{ip6m_addr=[2001::]:0, ip6m_mtu=1500}", none},
		{"IPV6_ADDR_PREFERENCES", raw(int32(0x500)), inet6, "IPV6_PREFER_SRC_PUBTMP_DEFAULT|IPV6_PREFER_SRC_HOME", 0x500},
		{"ICMP_FILTER", raw(uint32(0x107)), Where{}, "[0-2, 8]", 0x107},
		{"ICMP_FILTER", raw(^uint32(0)), Where{}, "[0-31]", 1<<32 - 1},
		{"ICMPV6_FILTER", raw(^uint32(0), ^uint32(0), zeros(24)), inet6, "[0-63]", none},
		{
			"IP_PKTOPTIONS", raw(uint64(20), int32(0), int32(2), int32(64), int32(0), uint64(17), int32(0), int32(1), "\x10"),
			Where{},
			"[IP_TTL, IP_TOS]", none,
		},

		{"TCP_CONGESTION", padded([]byte("cubic"), 16), Where{}, "cubic", none},
		{"TCP_ULP", padded([]byte("tls"), 16), Where{}, "tls", none},
		{"TCP_REPAIR_QUEUE", raw(int32(1)), Where{}, "TCP_RECV_QUEUE", 1},
		{
			"TCP_CC_INFO", raw(uint32(1000), uint32(0), uint32(2500), uint32(739), uint32(512)),
			Where{},
			"{bbr_bw_lo=1000, bbr_bw_hi=0, bbr_min_rtt=2.5ms, bbr_pacing_gain=739, bbr_cwnd_gain=512}", none,
		},
		{"UDP_ENCAP", raw(int32(2)), Where{}, "UDP_ENCAP_ESPINUDP", 2},
		{
			"MPTCP_INFO", raw(uint8(1), zeros(5), uint16(0), uint32(1)),
			Where{},
			"{mptcpi_subflows=1, mptcpi_add_addr_signal=0, mptcpi_add_addr_accepted=0, mptcpi_subflows_max=0, " +
				"mptcpi_add_addr_signal_max=0, mptcpi_add_addr_accepted_max=0, mptcpi_flags=MPTCP_INFO_FLAG_FALLBACK}", none,
		},
		{
			"MPTCP_SUBFLOW_ADDRS", raw(uint32(16), uint32(1), uint32(256), uint32(256),
				padded(sockaddr4(10, 0, 0, 1, 1000), 128), padded(sockaddr4(10, 0, 0, 2, 80), 128)),
			Where{},
			"{num_subflows=1, [10.0.0.1:1000->10.0.0.2:80]}", none,
		},
		{
			"MPTCP_TCPINFO", raw(uint32(16), uint32(1), uint32(104), uint32(104), tcpInfoBytes(104)),
			Where{},
			"{num_subflows=1, [{state=ESTABLISHED, retransmits=0, rtt=1.234ms, rttvar=500µs, snd_cwnd=10, total_retrans=3}]}", none,
		},

		{"NETLINK_LIST_MEMBERSHIPS", raw(uint32(0x80000001), uint32(2)), Where{}, "[1, 32, 34]", none},
		{"PACKET_STATISTICS", raw(uint32(7), uint32(1)), Where{}, "{tp_packets=7, tp_drops=1}", none},
		{"PACKET_STATISTICS", raw(uint32(7), uint32(1), uint32(0)), Where{}, "{tp_packets=7, tp_drops=1, tp_freeze_q_cnt=0}", none},
		{"PACKET_FANOUT", raw(uint32(0x10010000 | 42)), Where{}, "{id=42, type=PACKET_FANOUT_LB, flags=PACKET_FANOUT_FLAG_ROLLOVER}", 0x1001002a},
		{"SO_VM_SOCKETS_BUFFER_SIZE", raw(uint64(262144)), Where{}, "262144", 262144},
		{"SO_VM_SOCKETS_CONNECT_TIMEOUT", raw(int64(2), int64(0)), Where{}, "2s", none},
		{"CAN_RAW_FILTER", raw(uint32(0x123), uint32(0x7ff), uint32(0x20000456), uint32(0x7ff)), Where{}, "[123:7ff, 456~7ff]", none},
		{"CAN_RAW_ERR_FILTER", raw(uint32(0x1ff)), Where{}, "0x1ff", 0x1ff},
		{"BT_SNDMTU", raw(uint16(672)), Where{}, "672", 672},
		{"BT_SECURITY", []byte{2, 16}, Where{}, "{level=BT_SECURITY_MEDIUM, key_size=16}", none},
		{"L2CAP_LM", raw(uint32(5)), Where{}, "L2CAP_LM_MASTER|L2CAP_LM_ENCRYPT", 5},
		{"RFCOMM_LM", raw(uint32(2)), Where{}, "RFCOMM_LM_AUTH", 2},
		{
			"TCP_ZEROCOPY_RECEIVE", raw(uint64(0), uint32(4096), uint32(0), uint32(10), int32(-104)),
			Where{},
			"{length=4096, recv_skip_hint=0, inq=10, err=ECONNRESET}", none,
		},
		{
			"IP_VS_SO_GET_DAEMON", raw(int32(1), padded([]byte("eth0"), 16), int32(7)),
			Where{},
			"[{state=IP_VS_STATE_MASTER, mcast_ifn=eth0, syncid=7}]", none,
		},
		{"SCTP_SOCKOPT_PEELOFF", raw(int32(3), int32(9)), Where{}, "{associd=3, sd=9}", none},
		{"SO_ATMPVC", raw(uint16(8), uint16(0), int16(-1), int16(2), int32(100)), Where{}, "{itf=-1, vpi=2, vci=100}", none},
		{"L2CAP_CONNINFO", raw(uint16(5), []byte{1, 2, 3}), Where{}, "{hci_handle=5, dev_class=010203}", none},
		{"DCCP_SOCKOPT_SERVICE", raw(be32(42), be32(7)), Where{}, "[42, 7]", none},
		{"DCCP_SOCKOPT_AVAILABLE_CCIDS", []byte{2, 3}, Where{}, "[2, 3]", none},
		{"SO_RDS_TRANSPORT", raw(int32(2)), Where{}, "RDS_TRANS_TCP", 2},

		{"SCTP_NODELAY", raw(int32(1)), Where{}, "1", 1},
		{"SCTP_MAXSEG", raw(int32(0), uint32(1452)), Where{}, "{assoc_id=0, assoc_value=1452}", none},
		{"SCTP_MAXSEG", raw(int32(1452)), Where{}, "1452", 1452},
		{
			"SCTP_RTOINFO", raw(int32(0), uint32(3000), uint32(60000), uint32(1000)),
			Where{},
			"{srto_assoc_id=0, srto_initial=3s, srto_max=1m0s, srto_min=1s}", none,
		},
		{
			"SCTP_STATUS", raw(int32(1), int32(4), uint32(106496), uint16(0), uint16(0), uint16(10), uint16(10), uint32(1452),
				int32(1), padded(sockaddr4(127, 0, 0, 1, 5000), 128), int32(2), uint32(4380), uint32(3), uint32(1000), uint32(65532)),
			Where{},
			"{sstat_state=SCTP_ESTABLISHED, sstat_rwnd=106496, sstat_unackdata=0, sstat_penddata=0, sstat_instrms=10, " +
				"sstat_outstrms=10, spinfo_address=127.0.0.1:5000, spinfo_state=SCTP_ACTIVE, spinfo_cwnd=4380, spinfo_srtt=3ms}", none,
		},
		{
			"SCTP_GET_PEER_ADDRS", raw(int32(1), uint32(2), sockaddr4(10, 0, 0, 1, 9), sockaddr6(9, 0, 0x20, 1)),
			Where{},
			"{assoc_id=1, addrs=[10.0.0.1:9, [2001::]:9]}", none,
		},
		{"SCTP_GET_ASSOC_ID_LIST", raw(uint32(2), int32(7), int32(8)), Where{}, "[7, 8]", none},
		{"SCTP_HMAC_IDENT", raw(uint32(2), uint16(3), uint16(1)), Where{}, "[SCTP_AUTH_HMAC_ID_SHA256, SCTP_AUTH_HMAC_ID_SHA1]", none},
		{"SCTP_LOCAL_AUTH_CHUNKS", raw(int32(0), uint32(2), []byte{128, 129}), Where{}, "{gauth_assoc_id=0, gauth_chunks=[128, 129]}", none},
	} {
		t.Run(test.name+" "+test.want, func(t *testing.T) {
			v := option(t, test.name).Format(test.value, uint32(len(test.value)), test.where)
			if v.Text != test.want {
				t.Errorf("%s, want %s", v.Text, test.want)
			}
			if v.HasInt != (test.int != none) || v.HasInt && v.Int != test.int {
				t.Errorf("number %d (%t), want %d", v.Int, v.HasInt, test.int)
			}
		})
	}
}

// The length may be shorter or longer than the layout, and may lie about the
// bytes: the text gets shorter, and is not something else.
func TestFormatOfTruncatedValueIsPrefix(t *testing.T) {
	info := tcpInfoBytes(280)
	for _, test := range []struct {
		name  string
		value []byte
		n     uint32
		want  string
	}{
		{"SO_RCVBUF", nil, 0, ""},
		{"SO_RCVBUF", nil, 4, ""},
		{"SO_RCVBUF", raw(int32(300000)), 0, ""},
		{"SO_RCVBUF", raw(int32(131072)), 1 << 31, "131072"},
		// Fewer bytes were copied than the program got.
		{"SO_PEEK_OFF", raw(int32(-1))[:3], 4, ""},
		{"SO_MARK", raw(uint32(1 << 24))[:3], 4, ""},
		{"SO_TYPE", raw(int32(1))[:2], 4, ""},
		{"SO_ERROR", raw(int32(111))[:2], 4, ""},
		{"SO_COOKIE", raw(uint64(1<<40 + 7))[:4], 8, ""},
		{"SO_MAX_PACING_RATE", raw(uint64(1<<40 + 7))[:4], 8, ""},
		{"SO_MAX_PACING_RATE", raw(uint32(7)), 4, "7"},
		{"SO_RCVTIMEO", raw(int64(1 << 32))[:4], 16, ""},
		{"SO_TIMESTAMPING", raw(uint32(1 << 18))[:2], 8, ""},
		{"ICMPV6_FILTER", raw(uint32(6), uint32(0)), 32, "[1-2, …(cut)]"},
		{"ICMPV6_FILTER", zeros(8), 32, "[…(cut)]"},
		{"SO_PEERNAME", raw(uint16(afUnix), "/run/long"), 20, "/run/long…(cut)"},
		{"SO_PEERNAME", raw(uint16(afUnix), "/run/x\x00"), 20, "/run/x"},
		{"SO_PEERNAME", raw(uint16(afUnix), "\x00abc"), 20, "@abc…(cut)"},
		{"SO_LINGER", raw(int32(1), int32(5)), 4, "{l_onoff=1}"},
		{"SO_LINGER", raw(int32(1), int32(5)), 7, "{l_onoff=1}"},
		{"SO_LINGER", raw(int32(1), int32(5)), 3, ""},
		{"SO_LINGER", raw(int32(1), int32(5), int32(9)), 12, "{l_onoff=1, l_linger=5}"},
		{"SO_PEERNAME", sockaddr4(10, 0, 0, 7, 443), 4, "AF_INET"},
		{"SO_PEERNAME", sockaddr4(10, 0, 0, 7, 443), 1, ""},
		{"SO_PEERGROUPS", raw(uint32(1), uint32(2)), 400, "[1, 2, …(cut)]"},
		{"SO_PEERGROUPS", raw(uint32(1), uint32(2)), 7, "[1]"},
		{"TCP_CONGESTION", []byte("cubic"), 16, "cubic…(cut)"},
		{"TCP_CONGESTION", []byte("cu"), 2, "cu"},
		{"TCP_INFO", info, 1, "{state=ESTABLISHED}"},
		{"TCP_INFO", info, 104, "{state=ESTABLISHED, retransmits=0, rtt=1.234ms, rttvar=500µs, snd_cwnd=10, total_retrans=3}"},
		{"TCP_INFO", info, 280, "{state=ESTABLISHED, retransmits=0, rtt=1.234ms, rttvar=500µs, snd_cwnd=10, total_retrans=3, delivery_rate=1000000}"},
		{"TCP_INFO", info, 4096, "{state=ESTABLISHED, retransmits=0, rtt=1.234ms, rttvar=500µs, snd_cwnd=10, total_retrans=3, delivery_rate=1000000}"},
		{"TCP_INFO", info[:100], 280, "{state=ESTABLISHED, retransmits=0, rtt=1.234ms, rttvar=500µs, snd_cwnd=10}"},
		{"TCP_CC_INFO", zeros(16), 16, ""}, // Vegas or DCTCP
		{"SO_GET_FILTER", nil, 0, ""},
		{"SO_GET_FILTER", nil, 12, "{len=12}"},
		{"SO_GET_FILTER", nil, 1 << 20, ""},
		{
			"IP_MSFILTER", raw([]byte{239, 0, 0, 1, 10, 0, 0, 1}, uint32(1), ^uint32(0)), 16,
			"{imsf_multiaddr=239.0.0.1, imsf_interface=10.0.0.1, imsf_fmode=MCAST_INCLUDE, imsf_slist=[…(cut)]}",
		},
		{
			"SCTP_GET_PEER_ADDRS", raw(int32(1), ^uint32(0), sockaddr4(10, 0, 0, 1, 9)), 1 << 30,
			"{assoc_id=1, addrs=[10.0.0.1:9, …(cut)]}",
		},
		{"MPTCP_TCPINFO", raw(^uint32(0), uint32(1), uint32(1), uint32(1)), 16, ""},
		{"MPTCP_TCPINFO", raw(uint32(16), uint32(1<<16), uint32(280), uint32(280)), 16, "{num_subflows=65536, […(cut)]}"},
		{"MPTCP_SUBFLOW_ADDRS", raw(uint32(16), uint32(1), uint32(8), uint32(8), zeros(8)), 24, "{num_subflows=1, []}"},
		{"MPTCP_SUBFLOW_ADDRS", zeros(15), 15, ""},
		{"IP_MSFILTER", zeros(15), 15, ""},
		{"SCTP_GET_PEER_ADDRS", zeros(7), 7, ""},
		{"SCTP_HMAC_IDENT", zeros(3), 3, ""},
		{"SCTP_PEER_AUTH_CHUNKS", zeros(7), 7, ""},
		{"IPV6_NEXTHOP", zeros(28), 28, ""}, // no known layout
	} {
		t.Run(fmt.Sprintf("%s %d of %d bytes", test.name, len(test.value), test.n), func(t *testing.T) {
			if v := option(t, test.name).Format(test.value, test.n, Where{}); v.Text != test.want {
				t.Errorf("%s, %d of %d bytes: %s, want %s", test.name, len(test.value), test.n, v.Text, test.want)
			}
		})
	}
}

// A program that asks for 1 to 3 bytes of an int receives the first ones.
func TestFormatShortInt(t *testing.T) {
	b := raw(int32(300000)) // 0x000493e0
	for n, want := range []string{"", "224", "37856", "300000", "300000"} {
		t.Run(fmt.Sprintf("%d bytes", n), func(t *testing.T) {
			if v := option(t, "SO_RCVBUF").Format(b, uint32(n), Where{}); v.Text != want {
				t.Errorf("%d bytes: %s, want %s", n, v.Text, want)
			}
		})
	}
	if v := option(t, "SO_RCVTIMEO").Format(raw(int64(7), int64(0)), 4, Where{}); v.Text != "{tv_sec=7}" || v.Int != 7 {
		t.Errorf("got %+v, want {tv_sec=7} and 7", v)
	}
}

func TestFormatPendingError(t *testing.T) {
	o := option(t, "SO_ERROR")
	if v := o.Format([]byte{12}, 1, Where{}); v.Text != "12" { // ENOMEM, or ENOTSUPP's first byte
		t.Errorf("got %+v, want 12", v)
	}
	if v := o.Format(raw(int32(111)), 4, Where{}); v.Text != "ECONNREFUSED" {
		t.Errorf("got %+v, want ECONNREFUSED", v)
	}
	if v := o.Format(raw(int32(0)), 4, Where{}); v.Text != "0" {
		t.Errorf("got %+v, want 0", v)
	}
	if v := o.Format(raw(int32(9999)), 4, Where{}); v.Text != "9999" {
		t.Errorf("got %+v, want 9999", v)
	}
}

// A text is cut at 1,024 characters, and marked as cut inside them.
func TestFormatIsBounded(t *testing.T) {
	for name, b := range map[string][]byte{
		"SO_PEERSEC":    []byte(strings.Repeat("é", 2000)),
		"SO_PEERGROUPS": []byte(strings.Repeat("\xff", 4000)),
		"IP_OPTIONS":    zeros(4000),
		"SO_PEERNAME":   raw(uint16(afUnix), strings.Repeat("\x01", 3000)),
	} {
		t.Run(name, func(t *testing.T) {
			v := option(t, name).Format(b, uint32(len(b)), Where{})
			if n := utf8.RuneCountInString(v.Text); n != maxText || !strings.HasSuffix(v.Text, cutMark) {
				t.Errorf("%d characters, ends %q", n, v.Text[len(v.Text)-20:])
			}
			if !utf8.ValidString(v.Text) {
				t.Errorf("%s: not UTF-8", name)
			}
		})
	}
}

// The kernel has no such times, but a program may be given any bytes.
func TestMicrosecondsBeyondADuration(t *testing.T) {
	for us, want := range map[uint64]string{
		1<<63/1000 - 1: "2562047h47m16.854774s",
		1<<63/1000 + 1: "9223372036854776µs",
		math.MaxUint64: "18446744073709551615µs",
	} {
		t.Run(fmt.Sprint(us), func(t *testing.T) {
			if got := string(appendMicroseconds(nil, us)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
