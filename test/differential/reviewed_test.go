// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// review is a case in which strace was found wrong, or to know less.
type review struct {
	option *regexp.Regexp // the option's name
	strace *regexp.Regexp // the value as strace writes it
	// holds reports whether what the receiver reports is right nevertheless.
	holds func(l *straceCall, a map[string]any) bool
	why   string
}

var (
	anything = regexp.MustCompile(``)
	pointer  = regexp.MustCompile(`^0x`)
)

var reviews = []review{
	{
		option: anything, strace: regexp.MustCompile(`^\{\w+="(\\x[0-9a-f]{2}){1,3}"\}$`),
		holds: func(_ *straceCall, a map[string]any) bool { return a["socket.option.value"] == nil },
		why:   "of a structure whose first member came in part, strace shows the bytes; the receiver shows no part of a member",
	},
	{
		option: regexp.MustCompile(`^IPV6_`), strace: pointer,
		holds: func(l *straceCall, a map[string]any) bool {
			return l.lengthIn < 0 && l.lengthOut == 4 && a["socket.option.value_int"] != nil
		},
		why: "IPV6_* take a length below 0 for a very large one, and answer with an int; strace believes that nothing came",
	},
	{
		option: regexp.MustCompile(`^SO_GET_FILTER$`), strace: anything,
		holds: func(l *straceCall, a map[string]any) bool {
			return a["socket.option.value"] == fmt.Sprintf("{len=%d}", l.lengthOut) && l.lengthOut > 0
		},
		why: "SO_GET_FILTER answers with the number of instructions as the length; strace shows that many bytes",
	},
	{
		option: regexp.MustCompile(`^NETLINK_LIST_MEMBERSHIPS$`), strace: regexp.MustCompile(`^\[\]$`),
		holds: func(l *straceCall, a map[string]any) bool { return l.lengthIn < 4 && a["socket.option.value"] == nil },
		why:   "the kernel writes whole words of groups only, so that nothing came; strace shows a list of no groups",
	},
}

// gone are options that strace 6.1 names although no kernel from 5.10 on has
// them: they are in no UAPI header.
var gone = regexp.MustCompile(
	`^(TCP_COOKIE_TRANSACTIONS|SCTP_GET_(PEER|LOCAL)_ADDRS(_NUM)?_OLD|IRLMP_\w+|RDS_BARRIER)$`)

// secrets are options whose value is key material.
var secrets = map[string]bool{
	"TCP_MD5SIG": true, "TCP_MD5SIG_EXT": true, "TCP_FASTOPEN_KEY": true, "TCP_AO_ADD_KEY": true, "TCP_AO_DEL_KEY": true,
	"TCP_AO_GET_KEYS": true, "TLS_TX": true, "TLS_RX": true, "SCTP_AUTH_KEY": true, "ALG_SET_KEY": true,
	"ALG_SET_KEY_BY_KEY_SERIAL": true, "IP_IPSEC_POLICY": true, "IP_XFRM_POLICY": true, "IPV6_IPSEC_POLICY": true,
	"IPV6_XFRM_POLICY": true,
}

// unsigned are options whose four bytes the kernel's headers call a u32, which
// strace writes as an int.
var unsigned = map[string]bool{"SO_MARK": true, "TCP_TIMESTAMP": true}

// readers write the values that strace shows as bytes, or as the int that their
// first four bytes would be, from nothing but those bytes and the kernel's
// headers. They share no code with internal/sockopt.
var readers = map[string]func(b []byte, l *straceCall) string{
	"SO_RCVTIMEO":              timeval,
	"SO_SNDTIMEO":              timeval,
	"SO_RCVTIMEO_NEW":          timeval,
	"SO_SNDTIMEO_NEW":          timeval,
	"SO_PEERNAME":              sockaddr,
	"SO_ORIGINAL_DST":          sockaddr,
	"IP6T_SO_ORIGINAL_DST":     sockaddr,
	"SO_BINDTODEVICE":          text,
	"TCP_CONGESTION":           text,
	"TCP_ULP":                  text,
	"NETLINK_LIST_MEMBERSHIPS": groups,
	"ICMPV6_FILTER":            bits,
	"ICMP_FILTER":              bits,
	"IP_MULTICAST_IF":          inetAddress,
	"IP_UNICAST_IF":            bigEndian,
	"IPV6_UNICAST_IF":          bigEndian,
	"IP_LOCAL_PORT_RANGE":      ports,
	"IP_OPTIONS":               func(b []byte, _ *straceCall) string { return hex.EncodeToString(b) },
	"TCP_INFO": members(
		member1("state", 0, stateName), member1("retransmits", 2, nil), member4("rtt", 68, microseconds),
		member4("rttvar", 72, microseconds), member4("snd_cwnd", 80, nil), member4("total_retrans", 100, nil),
		member8("delivery_rate", 160, nil)),
	"TCP_CC_INFO": of20Bytes(members(
		member4("bbr_bw_lo", 0, nil), member4("bbr_bw_hi", 4, nil), member4("bbr_min_rtt", 8, microseconds),
		member4("bbr_pacing_gain", 12, nil), member4("bbr_cwnd_gain", 16, nil))),
	"TCP_ZEROCOPY_RECEIVE": members(
		member4("length", 8, nil), member4("recv_skip_hint", 12, nil), member4("inq", 16, nil), member4("err", 20, nil),
		member4("copybuf_len", 32, nil)),
	"TCP_REPAIR_WINDOW": members(
		member4("snd_wl1", 0, nil), member4("snd_wnd", 4, nil), member4("max_window", 8, nil), member4("rcv_wnd", 12, nil),
		member4("rcv_wup", 16, nil)),
	"SO_MEMINFO": members(
		member4("rmem_alloc", 0, nil), member4("rcvbuf", 4, nil), member4("wmem_alloc", 8, nil), member4("sndbuf", 12, nil),
		member4("fwd_alloc", 16, nil), member4("wmem_queued", 20, nil), member4("optmem", 24, nil), member4("backlog", 28, nil),
		member4("drops", 32, nil)),
	"SO_TXTIME": members(member4("clockid", 0, clock), member4("flags", 4, txTimeFlags)),
	"MPTCP_INFO": members(
		member1("mptcpi_subflows", 0, nil), member1("mptcpi_add_addr_signal", 1, nil), member1("mptcpi_add_addr_accepted", 2, nil),
		member1("mptcpi_subflows_max", 3, nil), member1("mptcpi_add_addr_signal_max", 4, nil),
		member1("mptcpi_add_addr_accepted_max", 5, nil), member4("mptcpi_flags", 8, mptcpFlags), member4("mptcpi_token", 12, nil),
		member8("mptcpi_write_seq", 16, nil), member8("mptcpi_snd_una", 24, nil), member8("mptcpi_rcv_nxt", 32, nil),
		member1("mptcpi_local_addr_used", 40, nil), member1("mptcpi_local_addr_max", 41, nil),
		member1("mptcpi_csum_enabled", 42, nil), member4("mptcpi_retransmits", 44, nil), member8("mptcpi_bytes_retrans", 48, nil),
		member8("mptcpi_bytes_sent", 56, nil), member8("mptcpi_bytes_received", 64, nil), member8("mptcpi_bytes_acked", 72, nil),
		member1("mptcpi_subflows_total", 80, nil), member1("mptcpi_endp_laminar_max", 81, nil),
		member1("mptcpi_endp_fullmesh_max", 82, nil), member4("mptcpi_last_data_sent", 84, milliseconds),
		member4("mptcpi_last_data_recv", 88, milliseconds), member4("mptcpi_last_ack_recv", 92, milliseconds)),
}

// part is a member of a structure.
type part struct {
	name     string
	at, size int
	write    func(uint64) string
}

func member1(name string, at int, write func(uint64) string) part { return part{name, at, 1, write} }

func member4(name string, at int, write func(uint64) string) part { return part{name, at, 4, write} }

func member8(name string, at int, write func(uint64) string) part { return part{name, at, 8, write} }

// members writes the members that came whole.
func members(parts ...part) func([]byte, *straceCall) string {
	return func(b []byte, _ *straceCall) string {
		var texts []string
		for _, p := range parts {
			if len(b) < p.at+p.size {
				continue
			}
			var whole [8]byte
			copy(whole[:], b[p.at:p.at+p.size])
			n := binary.LittleEndian.Uint64(whole[:])
			value := fmt.Sprint(n)
			if p.write != nil {
				value = p.write(n)
			}
			texts = append(texts, p.name+"="+value)
		}
		if len(texts) == 0 {
			return ""
		}
		return "{" + strings.Join(texts, ", ") + "}"
	}
}

// of20Bytes reads a union of which only BBR's member has its own length.
func of20Bytes(read func([]byte, *straceCall) string) func([]byte, *straceCall) string {
	return func(b []byte, l *straceCall) string {
		if len(b) != 20 {
			return ""
		}
		return read(b, l)
	}
}

var stateNames = strings.Fields(
	"ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING")

func stateName(n uint64) string { return stateNames[n-1] }

func microseconds(n uint64) string { return (time.Duration(n) * time.Microsecond).String() }
func milliseconds(n uint64) string { return (time.Duration(n) * time.Millisecond).String() }

func clock(n uint64) string {
	return map[uint64]string{0: "CLOCK_REALTIME", 1: "CLOCK_MONOTONIC", 11: "CLOCK_TAI"}[n]
}

func txTimeFlags(n uint64) string {
	return map[uint64]string{0: "0", 1: "SOF_TXTIME_DEADLINE_MODE"}[n]
}

func mptcpFlags(n uint64) string {
	switch n {
	case 1:
		return "MPTCP_INFO_FLAG_FALLBACK"
	case 2:
		return "MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED"
	case 3:
		return "MPTCP_INFO_FLAG_FALLBACK|MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED"
	}
	return fmt.Sprint(n)
}

// timeval is two longs; of fewer bytes only the seconds are known.
func timeval(b []byte, _ *straceCall) string {
	if len(b) >= 16 {
		return (time.Duration(binary.LittleEndian.Uint64(b))*time.Second +
			time.Duration(binary.LittleEndian.Uint64(b[8:]))*time.Microsecond).String()
	}
	var whole [8]byte
	copy(whole[:], b)
	return fmt.Sprintf("{tv_sec=%d}", int64(binary.LittleEndian.Uint64(whole[:])))
}

func sockaddr(b []byte, _ *straceCall) string {
	if len(b) < 2 {
		return ""
	}
	switch family := binary.LittleEndian.Uint16(b); {
	case family == 2 && len(b) >= 8:
		a, _ := netip.AddrFromSlice(b[4:8])
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[2:])).String()
	case family == 2:
		return "AF_INET"
	case family == 10 && len(b) >= 24:
		a, _ := netip.AddrFromSlice(b[8:24])
		return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(b[2:])).String()
	case family == 10:
		return "AF_INET6"
	case family == 1 && len(b) == 2:
		return "(unnamed)"
	case family == 1 && b[2] != 0:
		return strings.TrimRight(string(b[2:]), "\x00")
	case family == 1:
		return "@" + string(b[3:])
	case family == 16 && len(b) >= 12:
		return fmt.Sprintf("{nl_pid=%d, nl_groups=0x%x}", binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:]))
	case family == 16:
		return "AF_NETLINK"
	}
	return "?"
}

func text(b []byte, _ *straceCall) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

// groups are the bits of 32-bit words, the first of which is group 1.
func groups(b []byte, l *straceCall) string {
	var set []string
	for i := range 8 * len(b) {
		if b[i/8]>>(i%8)&1 == 1 {
			set = append(set, fmt.Sprint(i+1))
		}
	}
	if l.lengthOut > l.lengthIn {
		set = append(set, "…(cut)")
	}
	return "[" + strings.Join(set, ", ") + "]"
}

// bits are the numbers of single bits, of whole words; the sweep sets none.
func bits(b []byte, _ *straceCall) string {
	switch {
	case len(b) > 0 && len(b) < 4:
		return ""
	case strings.Trim(string(b), "\x00") == "":
		return "[]"
	}
	return "?"
}

func inetAddress(b []byte, _ *straceCall) string {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return ""
	}
	return a.String()
}

func bigEndian(b []byte, _ *straceCall) string {
	if len(b) < 4 {
		return ""
	}
	return fmt.Sprint(binary.BigEndian.Uint32(b))
}

func ports(b []byte, _ *straceCall) string {
	if len(b) < 4 {
		return ""
	}
	return fmt.Sprintf("%d-%d", binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:]))
}
