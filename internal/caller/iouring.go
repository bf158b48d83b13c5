// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of include/uapi/linux/io_uring.h.
const (
	opURingCommand  = 46
	opNop           = 0
	socketOpGet     = 2 // SOCKET_URING_OP_GETSOCKOPT, 6.7
	offSQRing       = 0
	offSQEs         = 0x10000000
	enterGetEvents  = 1
	sqeSize         = 64
	sqeAsync        = 1 << 4 // IOSQE_ASYNC: on a kernel worker thread
	parametersSize  = 120
	ringEntries     = 8
	ringMappingSize = 4096
)

// ring is as much of an io_uring as it takes to do one request at a time.
type ring struct {
	fd         int
	rings      []byte
	sqes       []byte
	parameters [parametersSize]byte
}

func newRing() *ring {
	r := &ring{}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, ringEntries, uintptr(unsafe.Pointer(&r.parameters)), 0)
	if errno != 0 {
		fatal("io_uring_setup: %v", errno)
	}
	r.fd = int(fd)
	var err error
	// One mapping holds both rings since 5.4 (IORING_FEAT_SINGLE_MMAP).
	if r.rings, err = unix.Mmap(r.fd, offSQRing, ringMappingSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		fatal("map the rings: %v", err)
	}
	if r.sqes, err = unix.Mmap(r.fd, offSQEs, ringEntries*sqeSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		fatal("map the requests: %v", err)
	}
	return r
}

// at returns the ring's word whose offset stands in the parameters at p.
func (r *ring) at(p int) *uint32 {
	return (*uint32)(unsafe.Pointer(&r.rings[binary.NativeEndian.Uint32(r.parameters[p:])]))
}

// do submits one request and returns its result.
func (r *ring) do(sqe [sqeSize]byte) int32 {
	const (
		sqTail, sqMask, sqArray     = 44, 48, 64 // struct io_sqring_offsets, at 40
		cqHead, cqTail, cqMask, cqe = 80, 84, 88, 100
	)
	tail := atomic.LoadUint32(r.at(sqTail))
	index := tail & atomic.LoadUint32(r.at(sqMask))
	copy(r.sqes[index*sqeSize:], sqe[:])
	array := unsafe.Slice(r.at(sqArray), ringEntries)
	array[index] = index
	atomic.StoreUint32(r.at(sqTail), tail+1)
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 1, enterGetEvents, 0, 0); errno != 0 {
		fatal("io_uring_enter: %v", errno)
	}
	head := atomic.LoadUint32(r.at(cqHead))
	if head == atomic.LoadUint32(r.at(cqTail)) {
		fatal("io_uring: no completion")
	}
	at := binary.NativeEndian.Uint32(r.parameters[cqe:]) + (head&atomic.LoadUint32(r.at(cqMask)))*16
	result := int32(binary.NativeEndian.Uint32(r.rings[at+8:]))
	atomic.StoreUint32(r.at(cqHead), head+1)
	return result
}

// IOUring makes n getsockopt requests of SO_TYPE, every second one on a kernel
// worker thread, and as many that are something else.
func IOUring(n int) {
	r := newRing()
	fd := socket(unix.AF_INET, unix.SOCK_STREAM)
	for i := range n {
		var value int32
		var sqe [sqeSize]byte
		sqe[0] = opURingCommand
		if i%2 == 1 {
			sqe[1] = sqeAsync
		}
		binary.NativeEndian.PutUint32(sqe[4:], uint32(fd))
		binary.NativeEndian.PutUint32(sqe[8:], socketOpGet)
		binary.NativeEndian.PutUint32(sqe[16:], unix.SOL_SOCKET)
		binary.NativeEndian.PutUint32(sqe[20:], unix.SO_TYPE)
		binary.NativeEndian.PutUint32(sqe[44:], 4)
		binary.NativeEndian.PutUint64(sqe[48:], uint64(uintptr(unsafe.Pointer(&value))))
		if result := r.do(sqe); result != 4 || value != unix.SOCK_STREAM {
			fatal("getsockopt through io_uring: %d, value %d", result, value)
		}
		if result := r.do([sqeSize]byte{0: opNop}); result != 0 {
			fatal("io_uring nop: %d", result)
		}
	}
}
