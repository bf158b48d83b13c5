// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What of include/uapi/linux/io_uring.h a ring of NOPs needs.
const (
	ringEntries    = 64
	offSQRing      = 0
	offCQRing      = 0x8000000
	offSQEs        = 0x10000000
	enterGetevents = 1
	sqeSize        = 64
	opNop          = 0
)

type ringOffsetsSQ struct {
	head, tail, mask, entries, flags, dropped, array, reserved uint32
	userAddress                                                uint64
}

type ringOffsetsCQ struct {
	head, tail, mask, entries, overflow, cqes, flags, reserved uint32
	userAddress                                                uint64
}

type ringParams struct {
	sqEntries, cqEntries, flags, threadCPU, threadIdle, features, wqFD uint32
	reserved                                                           [3]uint32
	sq                                                                 ringOffsetsSQ
	cq                                                                 ringOffsetsCQ
}

// ring is an io_uring that does nothing but NOPs.
type ring struct {
	fd             int
	sq, cq, sqes   []byte
	params         ringParams
	sqTail, cqHead *atomic.Uint32
}

func newRing() (*ring, error) {
	r := new(ring)
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, ringEntries, uintptr(unsafe.Pointer(&r.params)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("open an io_uring: %w", errno)
	}
	r.fd = int(fd)
	for _, m := range []struct {
		to     *[]byte
		offset int64
		size   uint32
	}{
		{&r.sq, offSQRing, r.params.sq.array + 4*r.params.sqEntries},
		{&r.cq, offCQRing, r.params.cq.cqes + 16*r.params.cqEntries},
		{&r.sqes, offSQEs, sqeSize * r.params.sqEntries},
	} {
		b, err := unix.Mmap(r.fd, m.offset, int(m.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			return nil, fmt.Errorf("map an io_uring: %w", err)
		}
		*m.to = b
	}
	for i := range r.params.sqEntries {
		r.sqes[i*sqeSize] = opNop
		*(*uint32)(unsafe.Pointer(&r.sq[r.params.sq.array+4*i])) = i
	}
	r.sqTail = (*atomic.Uint32)(unsafe.Pointer(&r.sq[r.params.sq.tail]))
	r.cqHead = (*atomic.Uint32)(unsafe.Pointer(&r.cq[r.params.cq.head]))
	return r, nil
}

// nops makes requests, a ring full at a time, so that the system call that
// submits them hardly counts.
func (r *ring) nops(n int) {
	for n > 0 {
		some := min(n, ringEntries)
		r.sqTail.Add(uint32(some))
		_, _, _ = unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(some), uintptr(some), enterGetevents, 0, 0)
		r.cqHead.Add(uint32(some))
		n -= some
	}
}
