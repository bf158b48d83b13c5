// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"strconv"
	"time"
)

// SO_RCVTIMEO and SO_SNDTIMEO are a struct timeval of the caller's word size.
func decodeTimeval(v view) Value {
	if v.where.Compat {
		return timeval(v, 4)
	}
	return timeval(v, 8)
}

// SO_RCVTIMEO_NEW and SO_SNDTIMEO_NEW are 64 bits wide for 32-bit programs too.
func decodeTimeval64(v view) Value { return timeval(v, 8) }

func timeval(v view, word int) Value {
	if !v.has(0, 2*word) {
		return seconds(v, word)
	}
	sec := signed(v.unsigned(0, word), word)
	usec := signed(v.unsigned(word, word), word)
	const limit = int64(1<<63-1)/int64(time.Second) - 1
	if usec < 0 || usec >= 1e6 || sec > limit || sec < -limit {
		return Value{Text: "{tv_sec=" + itoa(sec) + ", tv_usec=" + itoa(usec) + "}"}
	}
	return Value{Text: (time.Duration(sec)*time.Second + time.Duration(usec)*time.Microsecond).String()}
}

// seconds decodes what a program gets whose buffer is too small for a struct timeval:
// tv_sec, or its low bytes.
func seconds(v view, word int) Value {
	u, ok := v.uintUpTo(word)
	if !ok {
		return Value{}
	}
	sec := int64(u)
	if len(v.b) >= word {
		sec = signed(u, word)
	}
	return namedNumber("{tv_sec="+itoa(sec)+"}", sec)
}

// SO_GET_FILTER returns the number of instructions as the length, and 0 for no
// filter (net/core/filter.c).
func decodeFilter(v view) Value {
	if v.n == 0 {
		return Value{}
	}
	if v.n > 4096 { // BPF_MAXINSNS: not a number of instructions
		return Value{}
	}
	return namedNumber("{len="+itoa(int64(v.n))+"}", int64(v.n))
}

// SO_PEERGROUPS is an array of gid_t, which is 32 bits wide for 32-bit programs too.
func decodeGroups(v view) Value {
	return list(v, 4, func(dst []byte, at int) []byte {
		return strconv.AppendUint(dst, v.unsigned(at, 4), 10)
	})
}

// list formats the complete items of the view: [1, 2, …(cut)] if there are more. It
// stops when the text has reached its limit.
func list(v view, size int, item func(dst []byte, at int) []byte) Value {
	if len(v.b) < size {
		return Value{}
	}
	var buffer [256]byte
	dst := append(buffer[:0], '[')
	at := 0
	for ; v.has(at, size) && len(dst) < 4*maxText; at += size {
		if at > 0 {
			dst = append(dst, ", "...)
		}
		dst = item(dst, at)
	}
	return Value{Text: string(closeList(dst, v.cut()))}
}

func closeList(dst []byte, cut bool) []byte {
	if cut {
		dst = append(append(dst, ", "...), cutMark...)
	}
	return append(dst, ']')
}

// SO_TIMESTAMPING is an int of flags, and since 5.14 a struct so_timestamping,
// whose second member is the PHC that a socket is bound to.
func decodeTimestamping(v view) Value {
	u, ok := v.uintUpTo(4)
	if !ok {
		return Value{}
	}
	text := string(appendFlags(nil, timestampingFlags, u))
	if phc, ok := v.u32(4); ok && phc != 0 {
		return Value{Text: "{flags=" + text + ", bind_phc=" + itoa(int64(int32(phc))) + "}", Int: int64(u), HasInt: true}
	}
	return namedNumber(text, int64(u))
}

func decodeTxRehash(v view) Value {
	i, ok := v.int()
	switch {
	case !ok:
		return Value{}
	case i == 255:
		return namedNumber("SOCK_TXREHASH_DEFAULT", i)
	}
	return namedNumber(enumName(txRehash, i), i)
}

// include/uapi/linux/net_tstamp.h
var timestampingFlags = []flag{
	{1 << 0, "SOF_TIMESTAMPING_TX_HARDWARE"},
	{1 << 1, "SOF_TIMESTAMPING_TX_SOFTWARE"},
	{1 << 2, "SOF_TIMESTAMPING_RX_HARDWARE"},
	{1 << 3, "SOF_TIMESTAMPING_RX_SOFTWARE"},
	{1 << 4, "SOF_TIMESTAMPING_SOFTWARE"},
	{1 << 5, "SOF_TIMESTAMPING_SYS_HARDWARE"},
	{1 << 6, "SOF_TIMESTAMPING_RAW_HARDWARE"},
	{1 << 7, "SOF_TIMESTAMPING_OPT_ID"},
	{1 << 8, "SOF_TIMESTAMPING_TX_SCHED"},
	{1 << 9, "SOF_TIMESTAMPING_TX_ACK"},
	{1 << 10, "SOF_TIMESTAMPING_OPT_CMSG"},
	{1 << 11, "SOF_TIMESTAMPING_OPT_TSONLY"},
	{1 << 12, "SOF_TIMESTAMPING_OPT_STATS"},
	{1 << 13, "SOF_TIMESTAMPING_OPT_PKTINFO"},
	{1 << 14, "SOF_TIMESTAMPING_OPT_TX_SWHW"},
	{1 << 15, "SOF_TIMESTAMPING_BIND_PHC"},
	{1 << 16, "SOF_TIMESTAMPING_OPT_ID_TCP"},
	{1 << 17, "SOF_TIMESTAMPING_OPT_RX_FILTER"},
	{1 << 18, "SOF_TIMESTAMPING_TX_COMPLETION"},
}

// include/uapi/linux/socket.h
var (
	bufLockFlags = []flag{{1, "SOCK_SNDBUF_LOCK"}, {2, "SOCK_RCVBUF_LOCK"}}
	txRehash     = enum{"SOCK_TXREHASH_DISABLED", "SOCK_TXREHASH_ENABLED"}
)

var txTimeFlags = []flag{{1, "SOF_TXTIME_DEADLINE_MODE"}, {2, "SOF_TXTIME_REPORT_ERRORS"}}

var clocks = enum{
	"CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_PROCESS_CPUTIME_ID", "CLOCK_THREAD_CPUTIME_ID",
	"CLOCK_MONOTONIC_RAW", "CLOCK_REALTIME_COARSE", "CLOCK_MONOTONIC_COARSE", "CLOCK_BOOTTIME",
	"CLOCK_REALTIME_ALARM", "CLOCK_BOOTTIME_ALARM", "", "CLOCK_TAI",
}

var (
	linger = structure(i32("l_onoff"), i32("l_linger"))

	// An uid of -1 is the kernel's "nobody known" (no peer yet).
	ucred = structure(i32("pid"), i32("uid"), i32("gid"))

	txTime = structure(i32("clockid").named(clocks), u32("flags").flagged(txTimeFlags))

	// SO_MEMINFO is an array indexed by SK_MEMINFO_*, which grows.
	memInfo = structure(
		u32("rmem_alloc"), u32("rcvbuf"), u32("wmem_alloc"), u32("sndbuf"), u32("fwd_alloc"),
		u32("wmem_queued"), u32("optmem"), u32("backlog"), u32("drops"))
)
