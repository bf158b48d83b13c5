// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"golang.org/x/sys/unix"
)

// From arch/x86/entry/syscalls/syscall_32.tbl and include/uapi/linux/net.h.
const (
	nrSocketcall = 102
	nrGetsockopt = 365
	callGet      = 15
)

func int80(number, a, b, c, d, e uintptr) uintptr

// Compat makes n calls of SO_TYPE through each of the two entry points of 32-bit programs.
func Compat(n int) {
	fd := socket(unix.AF_INET, unix.SOCK_STREAM)
	// These entry points have 32-bit pointers.
	low, err := unix.MmapPtr(-1, 0, nil, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_32BIT)
	if err != nil {
		fatal("map low memory: %v", err)
	}
	words := (*[8]uint32)(low)
	value, length, args := uintptr(low), uintptr(low)+4, uintptr(low)+8
	for range n {
		words[0], words[1] = 0, 4
		if result := int32(int80(nrGetsockopt, fd, unix.SOL_SOCKET, unix.SO_TYPE, value, length)); result != 0 || words[0] != unix.SOCK_STREAM {
			fatal("32-bit getsockopt: %d, value %d", result, words[0])
		}
		*words = [8]uint32{0, 4, uint32(fd), unix.SOL_SOCKET, unix.SO_TYPE, uint32(value), uint32(length)}
		if result := int32(int80(nrSocketcall, callGet, args, 0, 0, 0)); result != 0 || words[0] != unix.SOCK_STREAM {
			fatal("socketcall: %d, value %d", result, words[0])
		}
		// Another call through socketcall, and another system call with the number that
		// socketcall has in 64-bit programs.
		int80(nrSocketcall, 99, args, 0, 0, 0)
		unix.Getuid()
	}
}
