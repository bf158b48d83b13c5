// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"testing"

	"golang.org/x/sys/unix"
)

// refused is a socket whose connection was refused, and where it was going.
// The port is one that is bound, so that nobody else listens on it.
func refused(family, kind, protocol int, mapped bool) (fd int, going unix.Sockaddr) {
	at := family
	if mapped {
		at = unix.AF_INET
	}
	closed := socket(at, kind, 0)
	must(unix.Bind(closed, loopback(at, 0)))
	going = name(closed)
	if mapped {
		going = &unix.SockaddrInet6{Addr: addrPort(going).Addr().As16(), Port: int(addrPort(going).Port())}
	}
	if kind == unix.SOCK_DGRAM {
		must(unix.Close(closed)) // a bound one takes datagrams
	}
	fd = socket(family, kind|unix.SOCK_NONBLOCK, protocol)
	err := unix.Connect(fd, going)
	if kind == unix.SOCK_DGRAM {
		must(err)
		_, err = unix.Write(fd, []byte{1})
		must(err)
	} else {
		mustBe(err, unix.EINPROGRESS)
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT | unix.POLLERR}}
	_, err = unix.Poll(poll, 5000)
	must(err)
	return fd, going
}

// exists reports whether the kernel has such sockets.
func exists(family, kind, protocol int) bool {
	fd, err := unix.Socket(family, kind, protocol)
	if err != nil {
		return false
	}
	must(unix.Close(fd))
	return true
}

// refusedProgram reads the errors of connections that were refused.
func refusedProgram() {
	for _, test := range []struct {
		family, kind, protocol int
		mapped                 bool
		network, transport     string
	}{
		{unix.AF_INET, unix.SOCK_STREAM, 0, false, "ipv4", "tcp"},
		{unix.AF_INET6, unix.SOCK_STREAM, 0, false, "ipv6", "tcp"},
		{unix.AF_INET6, unix.SOCK_STREAM, 0, true, "ipv4", "tcp"},
		{unix.AF_INET, unix.SOCK_DGRAM, 0, false, "ipv4", "udp"},
		{unix.AF_INET6, unix.SOCK_DGRAM, 0, false, "ipv6", "udp"},
		{unix.AF_INET6, unix.SOCK_DGRAM, 0, true, "ipv4", "udp"},
		{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP, false, "ipv4", "tcp"},
		{unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_MPTCP, true, "ipv4", "tcp"},
	} {
		if test.protocol != 0 && !exists(test.family, test.kind, test.protocol) {
			continue
		}
		fd, going := refused(test.family, test.kind, test.protocol, test.mapped)
		socket := fact{"network.type": test.network, "network.transport": test.transport, "syscall.return_value": 0}.
			with(end("peer", addrPort(going)))
		if test.kind == unix.SOCK_STREAM {
			socket["socket.state"] = "CLOSE"
		} else {
			socket["socket.state"] = nil
		}
		mustAsk(fd, unix.SOL_SOCKET, unix.SO_ERROR, 4)
		expect(socket.with(fact{
			"name": "getsockopt SO_ERROR", "socket.option.value": "ECONNREFUSED", "socket.option.value_int": int(unix.ECONNREFUSED),
			"error.type": "ECONNREFUSED", "status": statusError,
		}))
		// It is handed out once.
		mustAsk(fd, unix.SOL_SOCKET, unix.SO_ERROR, 4)
		expect(socket.with(fact{
			"socket.option.value": "0", "socket.option.value_int": 0, "error.type": nil, "status": statusUnset,
		}))
	}
}

func TestRefusedConnections(t *testing.T) { observe(t, everything(), "refused") }
