// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The C compiler is an independent reference for how structures are laid out:
// every member's place is compared with the installed headers'.

// cStruct is a schema and the structure that it stands for.
type cStruct struct {
	schema *schema
	c      string // the type
	header string
	prefix string            // of the members' names, which the schema leaves out
	named  map[string]string // members that the schema names otherwise
	newer  bool              // than the headers of 6.1
}

// newer marks members that headers from 6.1 on may not have yet.
var newer = map[string]bool{
	"tcpi_rcv_wnd": true, "tcpi_rehash": true, "tcpi_total_rto": true, "tcpi_total_rto_recoveries": true,
	"tcpi_total_rto_time": true, "tcpi_received_ce": true, "tcpi_delivered_e1_bytes": true,
	"tcpi_delivered_e0_bytes": true, "tcpi_delivered_ce_bytes": true, "tcpi_received_e1_bytes": true,
	"tcpi_received_e0_bytes": true, "tcpi_received_ce_bytes": true,
	"mptcpi_retransmits": true, "mptcpi_bytes_retrans": true, "mptcpi_bytes_sent": true,
	"mptcpi_bytes_received": true, "mptcpi_bytes_acked": true, "mptcpi_subflows_total": true, "mptcpi_endp_laminar_max": true, "mptcpi_endp_fullmesh_max": true,
	"mptcpi_last_data_sent": true, "mptcpi_last_data_recv": true, "mptcpi_last_ack_recv": true,
}

var cStructs = []cStruct{
	{schema: linger, c: "struct linger", header: "sys/socket.h"},
	{schema: ucred, c: "struct ucred", header: "sys/socket.h"},
	{schema: txTime, c: "struct sock_txtime", header: "linux/net_tstamp.h"},
	{schema: tcpInfo, c: "struct tcp_info", header: "linux/tcp.h", prefix: "tcpi_"},
	{schema: tcpRepairWindow, c: "struct tcp_repair_window", header: "linux/tcp.h"},
	{schema: tcpZeroCopy, c: "struct tcp_zerocopy_receive", header: "linux/tcp.h"},
	{schema: bbrInfo, c: "struct tcp_bbr_info", header: "linux/inet_diag.h"},
	{schema: mptcpInfo, c: "struct mptcp_info", header: "linux/mptcp.h"},
	{schema: xtInfo, c: "struct ipt_getinfo", header: "linux/netfilter_ipv4/ip_tables.h"},
	{schema: xtInfo, c: "struct ip6t_getinfo", header: "linux/netfilter_ipv6/ip6_tables.h"},
	{schema: arptInfo, c: "struct arpt_getinfo", header: "linux/netfilter_arp/arp_tables.h"},
	{schema: ebtInfo, c: "struct ebt_replace", header: "linux/netfilter_bridge/ebtables.h"},
	{schema: xtEntries, c: "struct ipt_get_entries", header: "linux/netfilter_ipv4/ip_tables.h"},
	{schema: xtRevision, c: "struct xt_get_revision", header: "linux/netfilter/x_tables.h"},
	{schema: ipvsInfo, c: "struct ip_vs_getinfo", header: "linux/ip_vs.h"},
	{schema: ipvsTimeout, c: "struct ip_vs_timeout_user", header: "linux/ip_vs.h"},
	{schema: ipvsServices, c: "struct ip_vs_get_services", header: "linux/ip_vs.h"},
	{schema: ipvsService, c: "struct ip_vs_service_entry", header: "linux/ip_vs.h"},
	{schema: ipvsDests, c: "struct ip_vs_get_dests", header: "linux/ip_vs.h"},
	{schema: ipvsDaemon, c: "struct ip_vs_daemon_user", header: "linux/ip_vs.h"},
	{schema: ipSet, c: "struct ip_set_req_version", header: "linux/netfilter/ipset/ip_set.h"},
	{schema: pathMTU, c: "struct ip6_mtuinfo", header: "linux/ipv6.h"},
	{schema: flowLabel, c: "struct in6_flowlabel_req", header: "linux/in6.h"},
	{schema: packetStatistics, c: "struct tpacket_stats_v3", header: "linux/if_packet.h"},
	{schema: rolloverStatistics, c: "struct tpacket_rollover_stats", header: "linux/if_packet.h"},
	{schema: xdpOffsets, c: "struct xdp_mmap_offsets", header: "linux/if_xdp.h"},
	{schema: xdpStatistics, c: "struct xdp_statistics", header: "linux/if_xdp.h"},
	{schema: isotpOptions, c: "struct can_isotp_options", header: "linux/can/isotp.h"},
	{schema: isotpFlowControl, c: "struct can_isotp_fc_options", header: "linux/can/isotp.h"},
	{schema: isotpLinkLayer, c: "struct can_isotp_ll_options", header: "linux/can/isotp.h"},
	{schema: tipcGroup, c: "struct tipc_group_req", header: "linux/tipc.h"},
	{schema: atmQoS, c: "struct atm_qos", header: "linux/atm.h"},
	{schema: atmPVC, c: "struct sockaddr_atmpvc", header: "linux/atm.h", prefix: "sap_addr."},
	{schema: sctpRTOInfo, c: "struct sctp_rtoinfo", header: "linux/sctp.h"},
	{schema: sctpAssocParams, c: "struct sctp_assocparams", header: "linux/sctp.h"},
	{schema: sctpInitMsg, c: "struct sctp_initmsg", header: "linux/sctp.h"},
	{schema: sctpPrimary, c: "struct sctp_prim", header: "linux/sctp.h"},
	{schema: sctpAdaptation, c: "struct sctp_setadaptation", header: "linux/sctp.h"},
	{schema: sctpPeerParams, c: "struct sctp_paddrparams", header: "linux/sctp.h"},
	{schema: sctpSendParams, c: "struct sctp_sndrcvinfo", header: "linux/sctp.h"},
	{schema: sctpSendInfo, c: "struct sctp_sndinfo", header: "linux/sctp.h"},
	{schema: sctpEvents, c: "struct sctp_event_subscribe", header: "linux/sctp.h"},
	{schema: sctpStatus, c: "struct sctp_status", header: "linux/sctp.h", named: map[string]string{
		"spinfo_assoc_id": "sstat_primary.spinfo_assoc_id", "spinfo_address": "sstat_primary.spinfo_address",
		"spinfo_state": "sstat_primary.spinfo_state", "spinfo_cwnd": "sstat_primary.spinfo_cwnd",
		"spinfo_srtt": "sstat_primary.spinfo_srtt", "spinfo_rto": "sstat_primary.spinfo_rto",
		"spinfo_mtu": "sstat_primary.spinfo_mtu",
	}},
	{schema: sctpPeerInfo, c: "struct sctp_paddrinfo", header: "linux/sctp.h"},
	{schema: sctpSack, c: "struct sctp_sack_info", header: "linux/sctp.h"},
	{schema: sctpKeyID, c: "struct sctp_authkeyid", header: "linux/sctp.h"},
	{schema: sctpThresholds, c: "struct sctp_paddrthlds", header: "linux/sctp.h"},
	{schema: sctpThresholds2, c: "struct sctp_paddrthlds_v2", header: "linux/sctp.h"},
	{schema: sctpAssocStats, c: "struct sctp_assoc_stats", header: "linux/sctp.h"},
	{schema: sctpPRInfo, c: "struct sctp_default_prinfo", header: "linux/sctp.h"},
	{schema: sctpPRStatus, c: "struct sctp_prstatus", header: "linux/sctp.h"},
	{schema: sctpStreamValue, c: "struct sctp_stream_value", header: "linux/sctp.h"},
	{schema: sctpEvent, c: "struct sctp_event", header: "linux/sctp.h"},
	{schema: sctpEncaps, c: "struct sctp_udpencaps", header: "linux/sctp.h"},
	{schema: sctpProbe, c: "struct sctp_probeinterval", header: "linux/sctp.h"},
	{schema: sctpAssocValue, c: "struct sctp_assoc_value", header: "linux/sctp.h"},
	{schema: sctpPeelOff, c: "sctp_peeloff_flags_arg_t", header: "linux/sctp.h", named: map[string]string{
		"associd": "p_arg.associd", "sd": "p_arg.sd",
	}},
	{schema: addresses[afNetlink], c: "struct sockaddr_nl", header: "linux/netlink.h"},
	{schema: addresses[afPacket], c: "struct sockaddr_ll", header: "linux/if_packet.h"},
	{schema: addresses[afCAN], c: "struct sockaddr_can", header: "linux/can.h"},
	{schema: addresses[afX25], c: "struct sockaddr_x25", header: "linux/x25.h"},
	{schema: addresses[afALG], c: "struct sockaddr_alg", header: "linux/if_alg.h"},
	{schema: addresses[afPhonet], c: "struct sockaddr_pn", header: "linux/phonet.h"},
	{schema: addresses[afNFC], c: "struct sockaddr_nfc", header: "linux/nfc.h"},
	{schema: addresses[afLLC], c: "struct sockaddr_llc", header: "linux/llc.h"},
	{schema: addresses[afQRTR], c: "struct sockaddr_qrtr", header: "linux/qrtr.h"},
	{schema: addresses[afXDP], c: "struct sockaddr_xdp", header: "linux/if_xdp.h"},
	{schema: addresses[afMCTP], c: "struct sockaddr_mctp", header: "linux/mctp.h"},
	{schema: addresses[afTIPC], c: "struct sockaddr_tipc", header: "linux/tipc.h", named: map[string]string{
		"addr[0]": "addr.id.ref", "addr[1]": "addr.id.node",
	}},
	{schema: mptcpFullInfo, c: "struct mptcp_full_info", header: "linux/mptcp.h", newer: true},
	{schema: tcpAOInfo, c: "struct tcp_ao_info_opt", header: "linux/tcp.h", newer: true},
	{schema: canVCID, c: "struct can_raw_vcid_options", header: "linux/can/raw.h", newer: true},
}

// withoutHeader are the schemas that no installed header can vouch for, and
// where their layout is written down.
var withoutHeader = map[Layout]string{
	LayoutMemInfo:      "an array, enum sk_meminfo of linux/sock_diag.h",
	LayoutBTSecurity:   "include/net/bluetooth/bluetooth.h",
	LayoutHCIFilter:    "include/net/bluetooth/hci_sock.h",
	LayoutL2CAPOptions: "include/net/bluetooth/l2cap.h",
	LayoutTFRCReceiver: "include/linux/tfrc.h",
	LayoutTFRCSender:   "include/linux/tfrc.h",
	LayoutConnInfo:     "include/net/bluetooth/l2cap.h, sco.h, rfcomm.h",
}

func (s *cStruct) member(f *field) string {
	if name, ok := s.named[f.name]; ok {
		return name
	}
	return s.prefix + f.name
}

func TestStructuresAgreeWithHeaders(t *testing.T) {
	covered := make(map[*schema]bool)
	headers := make(map[string]bool)
	var includes, body strings.Builder
	for i := range cStructs {
		s := &cStructs[i]
		covered[s.schema] = true
		if s.newer && !installed(t, s.header, strings.TrimPrefix(s.c, "struct ")) {
			continue
		}
		if !headers[s.header] {
			headers[s.header] = true
			fmt.Fprintf(&includes, "#include <%s>\n", s.header)
		}
		for j := range s.schema.fields {
			f := &s.schema.fields[j]
			name := s.member(f)
			if f.kind == asPadding || f.bits != 0 || newer[name] && !installed(t, s.header, name) {
				continue
			}
			fmt.Fprintf(&body, "A(%s, %s, %d, %d)\n", s.c, name, f.off, f.size)
		}
	}
	source := includes.String() + `
#include <stddef.h>
#define A(type, member, off, size) \
	_Static_assert(offsetof(type, member) == off, #type "." #member " is not at " #off); \
	_Static_assert(sizeof(((type *)0)->member) == size, #type "." #member " has not " #size " bytes");
` + body.String()
	compile(t, source)
	for l := range layouts {
		if s := layouts[l].fields; s != nil && !covered[s] && withoutHeader[Layout(l)] == "" {
			t.Errorf("nothing vouches for layout %d, %+v", l, s.fields[0].name)
		}
	}
}

// installed reports whether a header knows a name yet.
func installed(t *testing.T, header, name string) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/usr/include", header))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), name)
}

func compile(t *testing.T, source string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "layout.c")
	// The C library's headers come first: the kernel's then leave out what both
	// define.
	const libc = `
#define _GNU_SOURCE
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
`
	if err := os.WriteFile(file, []byte(libc+source), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-fsyntax-only", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
