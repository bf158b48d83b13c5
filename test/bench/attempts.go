// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// attempt is a call and its result: a series of its own.
type attempt struct {
	fd     uintptr
	option sockopt.NumberedOption
	length *int32 // nil: the call has none
}

// attempts returns calls that differ in the option or in the error that they return. Options
// without a name share a series, so only named ones are of use.
func attempts() ([]attempt, error) {
	file, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a file that is no socket: %w", err)
	}
	tcp, err := connection()
	if err != nil {
		return nil, err
	}
	fds := []uintptr{^uintptr(0), uintptr(file), tcp}
	for _, s := range [][2]int{
		{unix.AF_INET6, unix.SOCK_DGRAM},
		{unix.AF_UNIX, unix.SOCK_STREAM},
		{unix.AF_NETLINK, unix.SOCK_RAW},
	} {
		fd, err := unix.Socket(s[0], s[1]|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("open a socket of family %d: %w", s[0], err)
		}
		fds = append(fds, uintptr(fd))
	}
	four, negative := int32(4), int32(-1)
	type series struct {
		sockopt.NumberedOption
		syscall.Errno
	}
	var found []attempt
	known := map[series]bool{}
	for _, option := range sockopt.NamedOptions() {
		for _, fd := range fds {
			for _, length := range []*int32{&four, &negative, nil} {
				a := attempt{fd, option, length}
				if s := (series{option, a.call()}); !known[s] {
					known[s] = true
					found = append(found, a)
				}
			}
		}
	}
	return found, nil
}

func (a *attempt) call() syscall.Errno {
	var value, length int32
	pointer := unsafe.Pointer(nil)
	if a.length != nil {
		length = *a.length
		pointer = unsafe.Pointer(&length)
	}
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, a.fd, uintptr(a.option.Level), uintptr(a.option.Code),
		uintptr(unsafe.Pointer(&value)), uintptr(pointer), 0)
	return errno
}
