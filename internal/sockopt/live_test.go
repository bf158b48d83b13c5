// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// These tests read options of real sockets, and compare the texts of the values with other
// observers: the Go library, /proc and ss.

// ask reads an option of a live socket.
func ask(t *testing.T, fd int, name string, w Where) Value {
	t.Helper()
	return askFor(t, fd, name, 4096, w)
}

// askFor reads an option into a buffer of that size: SO_PEERNAME fails if it is too small.
func askFor(t *testing.T, fd int, name string, size int, w Where) Value {
	t.Helper()
	o := option(t, name)
	b := make([]byte, size)
	n, err := getsockopt(fd, o.Level, o.Code, b)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return o.Format(b, n, w)
}

// descriptor is the socket of a connection or listener, for as long as do runs.
func descriptor(t *testing.T, c syscall.Conn, do func(fd int)) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { do(int(fd)) }); err != nil {
		t.Fatal(err)
	}
}

// connected is a TCP connection that has carried bytes both ways.
func connected(t *testing.T, network, address string) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	for _, pair := range [][2]net.Conn{{c, s}, {s, c}} {
		if _, err := pair[0].Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := pair[1].Read(make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
	}
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func TestLivePeerName(t *testing.T) {
	for _, test := range []struct {
		network, address string
		size             int
	}{
		{"tcp4", "127.0.0.1:0", 16},
		{"tcp6", "[::1]:0", 28},
	} {
		t.Run(test.network, func(t *testing.T) {
			client, _ := connected(t, test.network, test.address)
			descriptor(t, client, func(fd int) {
				if v := askFor(t, fd, "SO_PEERNAME", test.size, Where{}); v.Text != client.RemoteAddr().String() {
					t.Errorf("%s, want %s", v.Text, client.RemoteAddr())
				}
			})
		})
	}
}

func TestLiveUnix(t *testing.T) {
	path := t.TempDir() + "/live.sock"
	for _, name := range []string{path, "@sockopt-live-" + strconv.Itoa(os.Getpid())} {
		l, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := net.Dial("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		descriptor(t, c.(*net.UnixConn), func(fd int) {
			if v := askFor(t, fd, "SO_PEERNAME", 2+len(name), Where{}); v.Text != name {
				t.Errorf("%s, want %s", v.Text, name)
			}
			want := fmt.Sprintf("{pid=%d, uid=%d, gid=%d}", os.Getpid(), os.Getuid(), os.Getgid())
			if v := ask(t, fd, "SO_PEERCRED", Where{}); v.Text != want {
				t.Errorf("%s, want %s", v.Text, want)
			}
			groups, err := os.Getgroups()
			if err != nil {
				t.Fatal(err)
			}
			if v := ask(t, fd, "SO_PEERGROUPS", Where{}); len(groups) > 0 && v.Text != strings.ReplaceAll(fmt.Sprint(groups), " ", ", ") {
				t.Errorf("%s, want %v", v.Text, groups)
			}
		})
	}
}

// A refused connection leaves its error on the socket, once.
func TestLivePendingError(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if errors.Is(err, syscall.EINPROGRESS) {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 5000); err != nil {
			t.Fatal(err)
		}
		if v := ask(t, fd, "SO_ERROR", Where{}); v.Text != "ECONNREFUSED" || v.Int != int64(syscall.ECONNREFUSED) {
			t.Errorf("got %+v, want ECONNREFUSED", v)
		}
	} else if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatal(err)
	}
	if v := ask(t, fd, "SO_ERROR", Where{}); v != (Value{Text: "0", HasInt: true}) {
		t.Errorf("after it was read: got %+v, want 0", v)
	}
}

func TestLiveSetAndRead(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	check := func(name, want string) {
		t.Helper()
		if v := ask(t, fd, name, Where{Family: afInet}); v.Text != want {
			t.Errorf("%s: %s, want %s", name, v.Text, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: 5}))
	check("SO_LINGER", "{l_onoff=1, l_linger=5}")
	timeout := syscall.NsecToTimeval(int64(1500 * time.Millisecond))
	must(syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &timeout))
	check("SO_RCVTIMEO", "1.5s")
	check("SO_RCVTIMEO_NEW", "1.5s")
	check("SO_SNDTIMEO", "0s")
	check("SO_TYPE", "SOCK_STREAM")
	check("SO_DOMAIN", "AF_INET")
	check("SO_PROTOCOL", "IPPROTO_TCP")
	must(syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TIMESTAMPING, 0x10))
	check("SO_TIMESTAMPING", "SOF_TIMESTAMPING_SOFTWARE")
	must(syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_MTU_DISCOVER, syscall.IP_PMTUDISC_DO))
	check("IP_MTU_DISCOVER", "IP_PMTUDISC_DO")
	check("IP_LOCAL_PORT_RANGE", "0-0")
	congestion, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	must(err)
	check("TCP_CONGESTION", strings.TrimSpace(string(congestion)))
	ifi, err := net.InterfaceByName("lo")
	must(err)
	must(syscall.SetsockoptString(fd, syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, "lo"))
	check("SO_BINDTODEVICE", "lo")
	check("SO_BINDTOIFINDEX", strconv.Itoa(ifi.Index))
	must(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(syscall.Listen(fd, 1))
	check("SO_ACCEPTCONN", "1")
	if v := ask(t, fd, "TCP_INFO", Where{}); !strings.HasPrefix(v.Text, "{state=LISTEN, ") {
		t.Error(v.Text)
	}
}

func TestLiveMulticast(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.SetsockoptInet4Addr(fd, syscall.IPPROTO_IP, syscall.IP_MULTICAST_IF, [4]byte{127, 0, 0, 1}); err != nil {
		t.Fatal(err)
	}
	if v := ask(t, fd, "IP_MULTICAST_IF", Where{}); v.Text != "127.0.0.1" {
		t.Error(v.Text)
	}
	if v := ask(t, fd, "SO_TYPE", Where{}); v.Text != "SOCK_DGRAM" {
		t.Error(v.Text)
	}
}

func TestLiveNetlinkMemberships(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW, syscall.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	for _, group := range []int{1, 9} { // RTNLGRP_LINK, RTNLGRP_IPV6_IFADDR
		if err := syscall.SetsockoptInt(fd, 270, 1, group); err != nil {
			t.Fatal(err)
		}
	}
	if v := ask(t, fd, "NETLINK_LIST_MEMBERSHIPS", Where{}); v.Text != "[1, 9]" {
		t.Error(v.Text)
	}
	if v := ask(t, fd, "SO_PROTOCOL", Where{Family: afNetlink}); v.Text != "NETLINK_ROUTE" {
		t.Error(v.Text)
	}
}

// ss shows the same connection from the kernel's own dump of it.
func TestLiveTCPInfoAgreesWithSS(t *testing.T) {
	client, server := connected(t, "tcp4", "127.0.0.1:0")
	local, peer := client.LocalAddr().String(), server.LocalAddr().String()
	out, err := exec.Command("ss", "-Htineo", "src", local, "and", "dst", peer).CombinedOutput()
	if err != nil {
		t.Fatalf("ss: %v\n%s", err, out)
	}
	descriptor(t, client, func(fd int) {
		o := option(t, "TCP_INFO")
		b := make([]byte, 512)
		n, err := getsockopt(fd, o.Level, o.Code, b)
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]Field)
		for _, f := range Expand(o, b, n) {
			got[strings.TrimPrefix(f.Name, "tcp.info.")] = f
		}
		if got["state"].Text != "ESTABLISHED" {
			t.Errorf("state: got %+v, want ESTABLISHED", got["state"])
		}
		for name, pattern := range map[string]string{
			"snd_cwnd": `\bcwnd:(\d+)`, "snd_mss": `\bmss:(\d+)`, "rcv_mss": `\brcvmss:(\d+)`, "advmss": `\badvmss:(\d+)`,
			"pmtu": `\bpmtu:(\d+)`, "bytes_acked": `\bbytes_acked:(\d+)`, "bytes_received": `\bbytes_received:(\d+)`,
			"segs_out": `\bsegs_out:(\d+)`, "segs_in": `\bsegs_in:(\d+)`, "data_segs_out": `\bdata_segs_out:(\d+)`,
			"data_segs_in": `\bdata_segs_in:(\d+)`, "bytes_sent": `\bbytes_sent:(\d+)`, "delivered": `\bdelivered:(\d+)`,
			"rcv_space": `\brcv_space:(\d+)`, "rcv_ssthresh": `\brcv_ssthresh:(\d+)`, "snd_wscale": `\bwscale:(\d+),`,
			"rcv_wscale": `\bwscale:\d+,(\d+)`,
		} {
			t.Run(name, func(t *testing.T) {
				m := regexp.MustCompile(pattern).FindSubmatch(out)
				if m == nil {
					t.Errorf("ss does not report %s: %s", name, out)
					return
				}
				if want, _ := strconv.ParseInt(string(m[1]), 10, 64); got[name].Int != want {
					t.Errorf("%s: %+v, ss reports %d", name, got[name], want)
				}
			})
		}
		// ss writes times in milliseconds.
		if m := regexp.MustCompile(`\brtt:([\d.]+)/([\d.]+)`).FindSubmatch(out); m == nil {
			t.Errorf("ss does not report rtt: %s", out)
		} else if want, _ := strconv.ParseFloat(string(m[1]), 64); int64(want*1000+0.5) != got["rtt_us"].Int {
			t.Errorf("rtt: %+v, ss reports %vms", got["rtt_us"], want)
		}
		// ss writes the cookie in hexadecimal.
		if m := regexp.MustCompile(`\bsk:([0-9a-f]+)`).FindSubmatch(out); m == nil {
			t.Errorf("ss does not report the cookie: %s", out)
		} else if want, _ := strconv.ParseUint(string(m[1]), 16, 64); ask(t, fd, "SO_COOKIE", Where{}).Text != utoa(want) {
			t.Errorf("cookie: %+v, ss reports %d", ask(t, fd, "SO_COOKIE", Where{}), want)
		}
	})
}
