// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PeersOfErrors is how many peers [Peers] meets that have an address, each with a port of its
// own.
const PeersOfErrors = 4

// Peers asks n times for the pending error of a socket of each kind: refused by a port of
// IPv4, by one of IPv6, by one of IPv4 through a socket of IPv6, and over UDP; and reset by
// the other end of a pair of Unix sockets.
func Peers(n int, ask func(fd uintptr)) {
	any4, any6 := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}
	_, inet := closedPort(unix.AF_INET, any4)
	_, inet6 := closedPort(unix.AF_INET6, any6)
	_, mapped := closedPort(unix.AF_INET, any4)
	port := mapped.(*syscall.SockaddrInet4).Port
	for range n {
		for _, fd := range []uintptr{
			refusedBy(unix.AF_INET, inet),
			refusedBy(unix.AF_INET6, inet6),
			refusedBy(unix.AF_INET6, &syscall.SockaddrInet6{Port: port, Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}}),
			unreachable(),
			reset(),
		} {
			ask(fd)
			unix.Close(int(fd))
		}
	}
}

// InventedPeers asks for the pending errors of n sockets that were refused by an address each.
func InventedPeers(n int) {
	_, everywhere := closedPort(unix.AF_INET, &unix.SockaddrInet4{})
	port := everywhere.(*syscall.SockaddrInet4).Port
	for i := range n {
		fd := refusedBy(unix.AF_INET, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 1, byte(i >> 8), byte(i)}})
		askPlainly(fd)
		unix.Close(int(fd))
	}
}

// askPlainly asks for the pending error.
func askPlainly(fd uintptr) { getAll(fd, unix.SOL_SOCKET, unix.SO_ERROR) }

// askRing asks for it through io_uring.
func askRing() func(fd uintptr) {
	r := newRing(8, 0)
	return func(fd uintptr) {
		var value int32
		r.push(getsockoptRequest(fd, unix.SO_ERROR, unsafe.Pointer(&value), 4, 0))
		r.submit(1)
		if results := r.reap(); len(results) != 1 || results[0] != 4 || value == 0 {
			fatal("SO_ERROR through io_uring: %v, value %d", results, value)
		}
	}
}

// closedPort returns a socket that is bound and does not listen, and its address.
func closedPort(family int, at unix.Sockaddr) (fd uintptr, address syscall.Sockaddr) {
	fd = socket(family, unix.SOCK_STREAM)
	if err := unix.Bind(int(fd), at); err != nil {
		fatal("bind: %v", err)
	}
	// Not x/sys's Getsockname, which calls getsockopt itself.
	address, err := syscall.Getsockname(int(fd))
	if err != nil {
		fatal("getsockname: %v", err)
	}
	return fd, address
}

// refusedBy returns a socket whose connection was refused.
func refusedBy(family int, address syscall.Sockaddr) uintptr {
	fd := socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK)
	if err := syscall.Connect(int(fd), address); !errors.Is(err, unix.EINPROGRESS) {
		fatal("connect: %v, want %v", err, unix.EINPROGRESS)
	}
	await(fd)
	return fd
}

// unreachable returns a UDP socket whose peer has answered that nobody is there.
func unreachable() uintptr {
	fd := socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK)
	if err := errors.Join(
		syscall.Connect(int(fd), &syscall.SockaddrInet4{Port: 1, Addr: [4]byte{127, 0, 0, 1}}),
		unix.Send(int(fd), []byte{0}, 0),
	); err != nil {
		fatal("send: %v", err)
	}
	await(fd)
	return fd
}

// reset returns a Unix socket whose other end was closed with data that it had not read.
func reset() uintptr {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fatal("socketpair: %v", err)
	}
	if err := unix.Send(pair[0], []byte{0}, 0); err != nil {
		fatal("send: %v", err)
	}
	unix.Close(pair[1])
	return uintptr(pair[0])
}

// await waits until a socket has something to report.
func await(fd uintptr) {
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 5000); err != nil {
		fatal("poll: %v", err)
	}
}
