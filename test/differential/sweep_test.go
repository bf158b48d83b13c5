// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The sweep reads all options of sockets of all types. Most calls fail.

// kind is a kind of socket.
type kind struct {
	name string
	open func() (int, error)
	// optional kinds are those that many kernels are built without.
	optional bool
}

func plain(family, kind, protocol int) func() (int, error) {
	return func() (int, error) { return unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol) }
}

func pair(kind int) func() (int, error) {
	return func() (int, error) {
		fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
		return fds[0], err
	}
}

// connected is the connecting side of a connection to this program.
func connected(family, protocol int) func() (int, error) {
	return func() (int, error) {
		listener := socket(family, unix.SOCK_STREAM, protocol)
		must(unix.Bind(listener, loopback(family, 0)))
		must(unix.Listen(listener, 1))
		fd := socket(family, unix.SOCK_STREAM, protocol)
		must(unix.Connect(fd, name(listener)))
		return fd, nil
	}
}

func kinds() []kind {
	return []kind{
		{name: "TCP over IPv4", open: plain(unix.AF_INET, unix.SOCK_STREAM, 0)},
		{name: "TCP over IPv4, connected", open: connected(unix.AF_INET, 0)},
		{name: "TCP over IPv6, connected", open: connected(unix.AF_INET6, 0)},
		{name: "UDP over IPv4", open: plain(unix.AF_INET, unix.SOCK_DGRAM, 0)},
		{name: "UDP over IPv6", open: plain(unix.AF_INET6, unix.SOCK_DGRAM, 0)},
		{name: "raw ICMP", open: plain(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)},
		{name: "raw ICMPv6", open: plain(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6)},
		{name: "Unix stream", open: pair(unix.SOCK_STREAM)},
		{name: "Unix datagram", open: pair(unix.SOCK_DGRAM)},
		{name: "Unix packets", open: pair(unix.SOCK_SEQPACKET)},
		{name: "netlink", open: member},
		{name: "packet", open: plain(unix.AF_PACKET, unix.SOCK_RAW, 0)},
		{name: "MPTCP", open: connected(unix.AF_INET, unix.IPPROTO_MPTCP), optional: true},
		{name: "vsock", open: plain(unix.AF_VSOCK, unix.SOCK_STREAM, 0), optional: true},
		{name: "XDP", open: plain(unix.AF_XDP, unix.SOCK_RAW, 0), optional: true},
		{name: "UDP-Lite", open: plain(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE), optional: true},
		{name: "SCTP", open: plain(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP), optional: true},
		{name: "kernel crypto", open: plain(unix.AF_ALG, unix.SOCK_SEQPACKET, 0), optional: true},
		{name: "CAN", open: plain(unix.AF_CAN, unix.SOCK_RAW, unix.CAN_RAW), optional: true},
		{name: "TIPC", open: plain(unix.AF_TIPC, unix.SOCK_DGRAM, 0), optional: true},
	}
}

// member is a netlink socket that listens to groups.
func member() (int, error) {
	fd := socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	for _, group := range []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV6_IFADDR} {
		must(unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group))
	}
	return fd, nil
}

// The levels and options of the sweep: more than any socket has, and numbers that no
// level or option has.
var (
	sweepLevels = []int{0, 1, 6, 17, 40, 41, 58, 101, 132, 136, 255, 263, 269, 270, 271, 276, 279, 282, 283, 284, 9999, -1}
	sweepHigh   = []int{80, 83, 96, 100, 107, 115, 120, 127, 128, 210, 9999, -1}
	sweepSizes  = []int{-1, 0, 1, 2, 3, 8, 12, 16, 28, 64, 512, 4096}
)

const sweepLow = 80 // options 0 to 79

func sweepOptions() []int {
	var options []int
	for i := range sweepLow {
		options = append(options, i)
	}
	return append(options, sweepHigh...)
}

// sweep reads each option of each type of socket into a buffer of an int or, for every
// third one, of another size; then all options of the levels that every type has, into a
// large buffer.
func sweep() {
	buffer := make([]byte, 4096)
	at := func(fd, level, option, size int) {
		clear(buffer)
		length := int32(size)
		getsockopt(fd, level, option, unsafe.Pointer(&buffer[0]), unsafe.Pointer(&length))
	}
	n := 0
	for _, k := range kinds() {
		fd, err := k.open()
		if err != nil {
			if !k.optional {
				must(fmt.Errorf("%s: %w", k.name, err))
			}
			fmt.Fprintf(os.Stdout, "%q\n", k.name+": "+err.Error())
			continue
		}
		prepare(fd)
		for _, level := range sweepLevels {
			for _, option := range sweepOptions() {
				size := 4
				if n++; n%3 == 0 {
					size = sweepSizes[n/3%len(sweepSizes)]
				}
				at(fd, level, option, size)
				if slices.Contains([]int{unix.SOL_SOCKET, unix.SOL_TCP, unix.SOL_NETLINK, unix.SOL_PACKET}, level) && option < sweepLow {
					at(fd, level, option, sweepSizes[n%len(sweepSizes)])
				}
			}
		}
		must(unix.Close(fd))
	}
}

// prepare sets what can be set, so that answers are not all 0. What a kind of
// socket does not have fails, and is asked for all the same.
func prepare(fd int) {
	for _, o := range []struct{ level, option, value int }{
		{unix.SOL_SOCKET, unix.SO_MARK, 0xdeadbeef},
		{unix.SOL_SOCKET, unix.SO_PRIORITY, 5},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPING, unix.SOF_TIMESTAMPING_RX_SOFTWARE},
		{unix.SOL_SOCKET, unix.SO_INCOMING_CPU, 1},
		{unix.SOL_SOCKET, unix.SO_PEEK_OFF, -1},
		{unix.SOL_IP, unix.IP_TOS, 0x10},
		{unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE},
		{unix.SOL_IP, unix.IP_RECVERR, 1},
		{unix.SOL_IP, unix.IP_UNICAST_IF, 1 << 24}, // interface 1, in network order
		{unix.SOL_IP, 51, 40000 | 50000<<16},       // IP_LOCAL_PORT_RANGE
		{unix.SOL_IPV6, unix.IPV6_TCLASS, 0x20},
		{unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IP_PMTUDISC_DO},
		{unix.SOL_IPV6, unix.IPV6_UNICAST_IF, 1 << 24},
		{unix.SOL_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_TCP, unix.TCP_USER_TIMEOUT, 30000},
		{unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1},
		{unix.SOL_PACKET, unix.PACKET_AUXDATA, 1},
		{unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3},
	} {
		_ = unix.SetsockoptInt(fd, o.level, o.option, o.value)
	}
	timeout := unix.Timeval{Sec: 3, Usec: 500000}
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 5})
	_ = unix.SetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, 1<<33)
	_ = unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "lo")
	_ = unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_TXTIME, "\x0b\x00\x00\x00\x01\x00\x00\x00")
	_ = unix.SetsockoptString(fd, unix.SOL_TCP, unix.TCP_FASTOPEN_KEY, "0123456789abcdef")
	all := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: ^uint32(0)}}
	_ = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &all[0]})
}

// TestSweepAgreesWithStrace compares all names, results, lengths and values with strace's, the
// two of which watch the same calls.
func TestSweepAgreesWithStrace(t *testing.T) {
	r := watch(t, everything())
	c, file := strace(t, false, program(t, "sweep"))
	begin := time.Now()
	out, err := c.Output()
	if err != nil {
		t.Fatalf("strace: %v", err)
	}
	if len(out) > 0 {
		t.Logf("this kernel has no such sockets:\n%s", out)
	}
	took := time.Since(begin)
	spans := r.finish(t)
	comparison := newComparison(t)
	comparison.calls(straced(t, file), spans)
	comparison.report()
	t.Logf("the sweep took %v", took)
	comparison.atLeast(map[string]int{
		counted: 21600, countedName: 4000, countedInt: 900, countedErrno: 10000, countedLength: 21600, countedBytes: 200,
	})
}

// loopback is this host's address of a family.
func loopback(family, port int) unix.Sockaddr {
	if family == unix.AF_INET6 {
		return &unix.SockaddrInet6{Addr: [16]byte{15: 1}, Port: port}
	}
	return &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}
}
