// SPDX-License-Identifier: Apache-2.0

package sockopt

import "strconv"

// include/uapi/linux/mptcp.h
var (
	mptcpFlags = []flag{{1, "MPTCP_INFO_FLAG_FALLBACK"}, {2, "MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED"}}

	mptcpInfo = structure(
		u8("mptcpi_subflows"), u8("mptcpi_add_addr_signal"), u8("mptcpi_add_addr_accepted"),
		u8("mptcpi_subflows_max"), u8("mptcpi_add_addr_signal_max"), u8("mptcpi_add_addr_accepted_max"),
		u32("mptcpi_flags").flagged(mptcpFlags), u32("mptcpi_token"), u64("mptcpi_write_seq"), u64("mptcpi_snd_una"),
		u64("mptcpi_rcv_nxt"), u8("mptcpi_local_addr_used"), u8("mptcpi_local_addr_max"), u8("mptcpi_csum_enabled"),
		u32("mptcpi_retransmits"), u64("mptcpi_bytes_retrans"), u64("mptcpi_bytes_sent"), u64("mptcpi_bytes_received"),
		u64("mptcpi_bytes_acked"), u8("mptcpi_subflows_total"), u8("mptcpi_endp_laminar_max"),
		u8("mptcpi_endp_fullmesh_max"), padding(1), u32("mptcpi_last_data_sent").ms(),
		u32("mptcpi_last_data_recv").ms(), u32("mptcpi_last_ack_recv").ms())

	// The head of struct mptcp_full_info; then come pointers of the caller's
	// and a struct mptcp_info.
	mptcpFullInfo = structure(
		u32("size_tcpinfo_kernel"), u32("size_tcpinfo_user"), u32("size_sfinfo_kernel"), u32("size_sfinfo_user"),
		u32("num_subflows"), u32("size_arrays_user"))
)

// subflows decodes struct mptcp_subflow_data, the head of the two options below: the length
// of the head, the number of subflows, and the length of each one's element.
func (v view) subflows() (start, count, size int, ok bool) {
	if !v.has(0, 16) {
		return 0, 0, 0, false
	}
	head, number, each := v.unsigned(0, 4), v.unsigned(4, 4), v.unsigned(12, 4)
	if head < 16 || head > uint64(len(v.b)) || each == 0 || each > 1<<16 || number > 1<<16 {
		return 0, 0, 0, false
	}
	return int(head), int(number), int(each), true
}

// MPTCP_TCPINFO: a struct tcp_info for each subflow.
func decodeMPTCPTCPInfo(v view) Value {
	return subflowList(v, func(dst []byte, b view) []byte { return append(dst, tcpInfo.text(b)...) })
}

// MPTCP_SUBFLOW_ADDRS: local and remote address of each subflow.
func decodeMPTCPAddrs(v view) Value {
	return subflowList(v, func(dst []byte, b view) []byte {
		if !b.has(0, 2*storageSize) {
			return dst
		}
		dst = appendSockaddr(dst, b.b[:storageSize])
		dst = append(dst, "->"...)
		return appendSockaddr(dst, b.b[storageSize:])
	})
}

func subflowList(v view, item func([]byte, view) []byte) Value {
	at, count, size, ok := v.subflows()
	if !ok {
		return Value{}
	}
	dst := append([]byte(nil), "{num_subflows="...)
	dst = strconv.AppendInt(dst, int64(count), 10)
	if count > 0 {
		dst = append(dst, ", "...)
		dst = appendSources(dst, v, at, size, uint64(count), func(dst []byte, at int) []byte {
			return item(dst, view{b: v.b[at : at+size], n: uint32(size), where: v.where})
		})
	}
	return Value{Text: string(append(dst, '}'))}
}
