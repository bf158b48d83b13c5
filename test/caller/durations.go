// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Durations makes n calls that take the kernel from a tenth of a microsecond to tens of them:
// they copy filters of many lengths, in turn to memory that is in use and to new pages.
func Durations(n int) {
	// Instructions. Each counts 16 bytes of net.core.optmem_max, which is 20 KiB before 6.7.
	const longest = 1000
	filter := make([]unix.SockFilter, longest)
	for i := range filter {
		filter[i] = unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	}
	fd := socket(unix.AF_INET, unix.SOCK_DGRAM)
	used := make([]unix.SockFilter, longest)
	for i := range n {
		if i > 0 { // both would count
			if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
				fatal("detach a filter: %v", err)
			}
		}
		length := int32(1 + i*(longest-1)/n)
		fprog := unix.SockFprog{Len: uint16(length), Filter: &filter[0]}
		if err := unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog); err != nil {
			fatal("attach a filter of %d instructions: %v", length, err)
		}
		to := unsafe.Pointer(&used[0])
		if i%2 == 1 {
			pages, err := unix.Mmap(-1, 0, longest*int(unsafe.Sizeof(unix.SockFilter{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
			if err != nil {
				fatal("map memory: %v", err)
			}
			to = unsafe.Pointer(&pages[0])
		}
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_GET_FILTER,
			uintptr(to), uintptr(unsafe.Pointer(&length)), 0)
		if errno != 0 {
			fatal("read the filter: %v", errno)
		}
	}
}
