// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// unixProgram reads options of Unix sockets with all types of names.
func unixProgram() {
	folder, err := os.MkdirTemp("", "differential")
	must(err)
	defer os.RemoveAll(folder)
	must(os.Chdir(folder))
	ask := func(fd int, local, peer any) {
		mustAsk(fd, unix.SOL_SOCKET, unix.SO_TYPE, 4)
		expect(fact{
			"socket.family": "AF_UNIX", "network.transport": "unix", "network.type": nil, "socket.state": nil,
			"network.local.address": local, "network.peer.address": peer, "network.local.port": nil, "network.peer.port": nil,
		})
	}
	// A name that fills sun_path has no NUL at its end.
	full := strings.Repeat("f", 108)
	for _, test := range []struct{ name, text string }{
		{folder + "/path.sock", folder + "/path.sock"},
		{"relative.sock", "relative.sock"},
		{"caf\xe9.sock", `caf\xe9.sock`},
		{full, full},
		{"\x00abstract", "@abstract"},
		{"\x00with\x00zeros\x00", "@with@zeros@"},
		{"\x00caf\xe9", `@caf\xe9`},
		{"\x00" + full[1:], "@" + full[1:]},
	} {
		for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_SEQPACKET} {
			listener := socket(unix.AF_UNIX, kind, 0)
			must(call(unix.SYS_BIND, listener, sockaddrUnix(test.name)))
			must(unix.Listen(listener, 1))
			ask(listener, test.text, nil)
			client := socket(unix.AF_UNIX, kind, 0)
			ask(client, nil, nil)
			must(call(unix.SYS_CONNECT, client, sockaddrUnix(test.name)))
			ask(client, nil, test.text)
			server := accept(listener)
			ask(server, test.text, nil)
			for _, fd := range []int{listener, client, server} {
				must(unix.Close(fd))
			}
			if test.name[0] != 0 {
				must(os.Remove(test.name))
			}
		}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	ask(pair[0], nil, nil)
	// The kernel chooses a name for a socket that is bound to none.
	chosen := socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	must(call(unix.SYS_BIND, chosen, []byte{unix.AF_UNIX, 0}))
	name := name(chosen).(*unix.SockaddrUnix).Name
	ask(chosen, name, nil)
	sender := socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	must(unix.Connect(sender, &unix.SockaddrUnix{Name: name}))
	ask(sender, nil, name)
}

// sockaddrUnix is an address byte by byte: package unix ends paths with a NUL.
func sockaddrUnix(path string) []byte {
	return append(binary.NativeEndian.AppendUint16(nil, unix.AF_UNIX), path...)
}

func TestUnixSocketNames(t *testing.T) { observe(t, everything(), "unix") }

// kindsProgram reads family, type and protocol of sockets of all types.
func kindsProgram() {
	namespace := inode("/proc/self/ns/net")
	for _, test := range []struct {
		family, kind, protocol int
		names                  [3]string
		transport              any
		optional               bool
	}{
		{unix.AF_INET, unix.SOCK_STREAM, 0, [3]string{"AF_INET", "SOCK_STREAM", "IPPROTO_TCP"}, "tcp", false},
		{unix.AF_INET6, unix.SOCK_STREAM, 0, [3]string{"AF_INET6", "SOCK_STREAM", "IPPROTO_TCP"}, "tcp", false},
		{unix.AF_INET, unix.SOCK_DGRAM, 0, [3]string{"AF_INET", "SOCK_DGRAM", "IPPROTO_UDP"}, "udp", false},
		{unix.AF_INET6, unix.SOCK_DGRAM, 0, [3]string{"AF_INET6", "SOCK_DGRAM", "IPPROTO_UDP"}, "udp", false},
		{unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP, [3]string{"AF_INET", "SOCK_RAW", "IPPROTO_ICMP"}, nil, false},
		{unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6, [3]string{"AF_INET6", "SOCK_RAW", "IPPROTO_ICMPV6"}, nil, false},
		{unix.AF_UNIX, unix.SOCK_STREAM, 0, [3]string{"AF_UNIX", "SOCK_STREAM", "0"}, "unix", false},
		{unix.AF_UNIX, unix.SOCK_DGRAM, 0, [3]string{"AF_UNIX", "SOCK_DGRAM", "0"}, "unix", false},
		{unix.AF_UNIX, unix.SOCK_SEQPACKET, 0, [3]string{"AF_UNIX", "SOCK_SEQPACKET", "0"}, "unix", false},
		{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_SOCK_DIAG, [3]string{"AF_NETLINK", "SOCK_RAW", "NETLINK_SOCK_DIAG"}, nil, false},
		{unix.AF_PACKET, unix.SOCK_DGRAM, 0, [3]string{"AF_PACKET", "SOCK_DGRAM", "0"}, nil, false},
		{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP, [3]string{"AF_INET", "SOCK_STREAM", "IPPROTO_MPTCP"}, "tcp", true},
		{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP, [3]string{"AF_INET", "SOCK_STREAM", "IPPROTO_SCTP"}, nil, true},
		{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, [3]string{"AF_INET", "SOCK_DGRAM", "IPPROTO_UDPLITE"}, nil, true},
		{unix.AF_VSOCK, unix.SOCK_STREAM, 0, [3]string{"AF_VSOCK", "SOCK_STREAM", "0"}, nil, true},
		{unix.AF_XDP, unix.SOCK_RAW, 0, [3]string{"AF_XDP", "SOCK_RAW", "0"}, nil, true},
		{unix.AF_ALG, unix.SOCK_SEQPACKET, 0, [3]string{"AF_ALG", "SOCK_SEQPACKET", "0"}, nil, true},
	} {
		fd, err := unix.Socket(test.family, test.kind|unix.SOCK_CLOEXEC, test.protocol)
		if err != nil && test.optional {
			continue
		}
		must(err)
		mustAsk(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL, 4)
		f := fact{
			"socket.family": test.names[0], "socket.type": test.names[1], "socket.protocol": test.names[2],
			"socket.option.value": test.names[2], "network.transport": test.transport, "socket.network_namespace": namespace,
			"socket.fd": fd, "socket.entry": "syscall",
		}
		if test.family == unix.AF_INET6 {
			f["network.type"] = nil // neither bound nor connected
		}
		expect(f.with(nobody("peer")))
	}
	boundSockets()
	// A cookie that was asked for stays.
	cookied := socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	cookie := strconv.FormatUint(binary.NativeEndian.Uint64(mustAsk(cookied, unix.SOL_SOCKET, unix.SO_COOKIE, 8)), 10)
	expect(fact{"socket.option.value": cookie, "socket.cookie": cookie})
	mustAsk(cookied, unix.SOL_SOCKET, unix.SO_TYPE, 4)
	expect(fact{"socket.cookie": cookie})
	// A vsock's addresses are numbers.
	if exists(unix.AF_VSOCK, unix.SOCK_STREAM, 0) {
		fd := socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)
		must(unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: 12345}))
		mustAsk(fd, unix.SOL_SOCKET, unix.SO_DOMAIN, 4)
		expect(fact{"network.local.address": "4294967295", "network.local.port": 12345, "socket.option.value": "AF_VSOCK"}.with(nobody("peer")))
	}
	// No socket at all.
	file, err := os.Open("/dev/null")
	must(err)
	_, errno := ask(int(file.Fd()), unix.SOL_SOCKET, unix.SO_TYPE, 4)
	mustBe(errno, unix.ENOTSOCK)
	expect(fact{"error.type": "ENOTSOCK", "socket.family": nil, "socket.network_namespace": nil, "socket.fd": int(file.Fd())})
}

// boundSockets reads options of internet sockets that are bound, connected or both.
func boundSockets() {
	ask := func(fd int, f fact) {
		mustAsk(fd, unix.SOL_SOCKET, unix.SO_TYPE, 4)
		expect(f)
	}
	everywhere := socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
	must(unix.Bind(everywhere, &unix.SockaddrInet6{}))
	must(unix.Listen(everywhere, 1))
	port := addrPort(name(everywhere)).Port()
	ask(everywhere, end("local", netip.AddrPortFrom(netip.IPv6Unspecified(), port)).with(nobody("peer")).with(fact{"network.type": "ipv6"}))
	// An IPv4 host connects to the IPv6 socket.
	client := socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(unix.Connect(client, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(port)}))
	server := accept(everywhere)
	ask(server, end("local", addrPort(name(server))).with(end("peer", addrPort(name(client)))).
		with(fact{"network.type": "ipv4", "socket.family": "AF_INET6", "network.local.address": "127.0.0.1"}))

	datagrams := socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	must(unix.Bind(datagrams, loopback(unix.AF_INET, 0)))
	ask(datagrams, end("local", addrPort(name(datagrams))).with(nobody("peer")))
	sender := socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	must(unix.Connect(sender, name(datagrams)))
	ask(sender, end("local", addrPort(name(sender))).with(end("peer", addrPort(name(datagrams)))))

	// What stands for the port of a raw socket is its protocol.
	raw := socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	must(unix.Bind(raw, loopback(unix.AF_INET, 0)))
	ask(raw, fact{"network.local.address": "127.0.0.1", "network.local.port": nil}.with(nobody("peer")))
}

func TestKindsOfSockets(t *testing.T) { observe(t, everything(), "kinds") }

// namespaceProgram uses a socket of a network namespace that it has left.
func namespaceProgram() {
	runtime.LockOSThread()
	const current = "/proc/thread-self/ns/net"
	namespace, err := os.Open(current)
	must(err)
	outside := inode(current)
	must(unix.Unshare(unix.CLONE_NEWNET))
	inside := inode(current)
	fd := socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET))
	if now := inode(current); now != outside || now == inside {
		must(fmt.Errorf("back in namespace %d, not %d, want %d", now, inside, outside))
	}
	mustAsk(fd, unix.SOL_SOCKET, unix.SO_TYPE, 4)
	expect(fact{"socket.network_namespace": inside})
	mustAsk(socket(unix.AF_INET, unix.SOCK_STREAM, 0), unix.SOL_SOCKET, unix.SO_TYPE, 4)
	expect(fact{"socket.network_namespace": outside})
}

func TestSocketOfAnotherNamespace(t *testing.T) { observe(t, everything(), "namespace") }
