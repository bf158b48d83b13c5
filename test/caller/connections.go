// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Connections connects in every way that fails, n times: to a port at which nobody
// listens, and once to one that does not answer. It also polls TCP_INFO, and asks for an
// option that its socket does not support.
func Connections(n int) {
	unanswered := timesOut()
	local := socket(unix.AF_UNIX, unix.SOCK_STREAM)
	for range n {
		fd := refused()
		getAll(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		for range 10 {
			getAll(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		}
		unix.Close(int(fd))
		getAll(local, unix.IPPROTO_TCP, unix.TCP_NODELAY)
	}
	poll := []unix.PollFd{{Fd: int32(unanswered), Events: unix.POLLOUT}}
	if _, err := unix.Poll(poll, 30_000); err != nil {
		fatal("poll: %v", err)
	}
	getAll(unanswered, unix.SOL_SOCKET, unix.SO_ERROR)
}

// getAll makes a call that leaves space for every value.
func getAll(fd uintptr, level, option int32) {
	length := int32(4096)
	get(fd, level, option, unsafe.Pointer(&length))
}

// timesOut returns a socket whose connect will time out: the listener's queue holds one
// connection, and the kernel drops further requests. With one retry it takes three seconds.
func timesOut() uintptr {
	listener := socket(unix.AF_INET, unix.SOCK_STREAM)
	if err := errors.Join(
		unix.Bind(int(listener), &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
		unix.Listen(int(listener), 0),
	); err != nil {
		fatal("listen: %v", err)
	}
	// Not x/sys's Getsockname, which calls getsockopt itself.
	address, err := syscall.Getsockname(int(listener))
	if err != nil {
		fatal("getsockname: %v", err)
	}
	if err := syscall.Connect(int(socket(unix.AF_INET, unix.SOCK_STREAM)), address); err != nil {
		fatal("connect: %v", err)
	}
	fd := socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK)
	if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_SYNCNT, 1); err != nil {
		fatal("TCP_SYNCNT: %v", err)
	}
	if err := syscall.Connect(int(fd), address); !errors.Is(err, unix.EINPROGRESS) {
		fatal("connect: %v, want %v", err, unix.EINPROGRESS)
	}
	return fd
}
