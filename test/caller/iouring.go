// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From include/uapi/linux/io_uring.h.
const (
	opNop          = 0
	opSend         = 26
	opRead         = 22
	opURingCommand = 46

	socketOpGet = 2 // SOCKET_URING_OP_GETSOCKOPT, 6.7

	sqeFixedFile   = 1 << 0 // IOSQE_FIXED_FILE
	sqeDrain       = 1 << 1 // IOSQE_IO_DRAIN
	sqeLink        = 1 << 2 // IOSQE_IO_LINK
	sqeHardLink    = 1 << 3 // IOSQE_IO_HARDLINK
	sqeAsync       = 1 << 4 // IOSQE_ASYNC: on a kernel worker thread
	sqeSkipSuccess = 1 << 6 // IOSQE_CQE_SKIP_SUCCESS

	setupPoller = 1 << 1 // IORING_SETUP_SQPOLL

	offSQRing      = 0
	offSQEs        = 0x10000000
	enterGetEvents = 1 << 0
	enterWakeUp    = 1 << 1
	registerFiles  = 2
	sqeSize        = 64
	cqeSize        = 16
	parametersSize = 120
)

// Offsets in struct io_uring_params.
const (
	atFlags                         = 8
	atPollerIdle                    = 16
	sqHead, sqTail, sqMask, sqArray = 40, 44, 48, 64
	cqHead, cqTail, cqMask, cqe     = 80, 84, 88, 100
	entriesSQ, entriesCQ            = 0, 4
)

type sqe [sqeSize]byte

// ring is an io_uring by raw system calls.
type ring struct {
	fd         int
	flags      uint32
	rings      []byte
	sqes       []byte
	parameters [parametersSize]byte
	waiting    uint32 // pushed, and not yet submitted
}

func newRing(entries, flags uint32) *ring {
	r := &ring{flags: flags}
	binary.NativeEndian.PutUint32(r.parameters[atFlags:], flags)
	binary.NativeEndian.PutUint32(r.parameters[atPollerIdle:], 1000) // ms
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&r.parameters)), 0)
	if errno != 0 {
		fatal("io_uring_setup: %v", errno)
	}
	r.fd = int(fd)
	word := func(at int) int { return int(binary.NativeEndian.Uint32(r.parameters[at:])) }
	size := max(word(sqArray)+4*word(entriesSQ), word(cqe)+cqeSize*word(entriesCQ))
	var err error
	// One mapping holds both rings since 5.4 (IORING_FEAT_SINGLE_MMAP).
	if r.rings, err = unix.Mmap(r.fd, offSQRing, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		fatal("map the rings: %v", err)
	}
	if r.sqes, err = unix.Mmap(r.fd, offSQEs, sqeSize*word(entriesSQ), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		fatal("map the requests: %v", err)
	}
	return r
}

func (r *ring) close() {
	_ = unix.Munmap(r.rings)
	_ = unix.Munmap(r.sqes)
	_ = unix.Close(r.fd)
}

// at returns the word of the rings whose offset is at p of the parameters.
func (r *ring) at(p int) *uint32 {
	return (*uint32)(unsafe.Pointer(&r.rings[binary.NativeEndian.Uint32(r.parameters[p:])]))
}

// push puts a request into the submission queue.
func (r *ring) push(e sqe) {
	tail := atomic.LoadUint32(r.at(sqTail))
	index := tail & atomic.LoadUint32(r.at(sqMask))
	copy(r.sqes[index*sqeSize:], e[:])
	array := unsafe.Slice(r.at(sqArray), atomic.LoadUint32(r.at(sqMask))+1)
	array[index] = index
	atomic.StoreUint32(r.at(sqTail), tail+1)
	r.waiting++
}

// submit submits the queue, and waits for a number of completions.
func (r *ring) submit(wait uint32) {
	flags := uintptr(enterGetEvents)
	if r.flags&setupPoller != 0 {
		flags |= enterWakeUp
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(r.waiting), uintptr(wait), flags, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			fatal("io_uring_enter: %v", errno)
		}
		if int(n) != int(r.waiting) {
			fatal("io_uring_enter took %d requests of %d", n, r.waiting)
		}
		r.waiting = 0
		return
	}
}

// reap removes all completions, and returns their results.
func (r *ring) reap() (results []int32) {
	for {
		head := atomic.LoadUint32(r.at(cqHead))
		if head == atomic.LoadUint32(r.at(cqTail)) {
			return results
		}
		at := binary.NativeEndian.Uint32(r.parameters[cqe:]) + (head&atomic.LoadUint32(r.at(cqMask)))*cqeSize
		results = append(results, int32(binary.NativeEndian.Uint32(r.rings[at+8:])))
		atomic.StoreUint32(r.at(cqHead), head+1)
	}
}

// reapAll waits for n completions, and returns their results. Those that did not fit into
// the queue arrive as it empties.
func (r *ring) reapAll(n int) (results []int32) {
	results = r.reap()
	for len(results) < n {
		r.submit(1)
		results = append(results, r.reap()...)
	}
	return results
}

// register registers descriptors as files of the ring.
func (r *ring) register(fds ...int32) {
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), registerFiles,
		uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), 0, 0); errno != 0 {
		fatal("io_uring_register: %v", errno)
	}
}

// getsockoptRequest returns a request for an option of SOL_SOCKET.
func getsockoptRequest(fd uintptr, option uint32, value unsafe.Pointer, length uint32, flags byte) (e sqe) {
	e[0], e[1] = opURingCommand, flags
	binary.NativeEndian.PutUint32(e[4:], uint32(fd))
	binary.NativeEndian.PutUint32(e[8:], socketOpGet)
	binary.NativeEndian.PutUint32(e[16:], unix.SOL_SOCKET)
	binary.NativeEndian.PutUint32(e[20:], option)
	binary.NativeEndian.PutUint32(e[44:], length)
	binary.NativeEndian.PutUint64(e[48:], uint64(uintptr(value)))
	return e
}

// IOUring makes n getsockopt requests of SO_TYPE, every second one on a kernel worker
// thread, and as many requests of another kind.
func IOUring(n int) {
	r := newRing(8, 0)
	fd := socket(unix.AF_INET, unix.SOCK_STREAM)
	for i := range n {
		var value int32
		var flags byte
		if i%2 == 1 {
			flags = sqeAsync
		}
		r.push(getsockoptRequest(fd, unix.SO_TYPE, unsafe.Pointer(&value), 4, flags))
		r.submit(1)
		if results := r.reap(); len(results) != 1 || results[0] != 4 || value != unix.SOCK_STREAM {
			fatal("getsockopt through io_uring: %v, value %d", results, value)
		}
		r.push(sqe{0: opNop})
		r.submit(1)
		if results := r.reap(); len(results) != 1 || results[0] != 0 {
			fatal("io_uring nop: %v", results)
		}
	}
}
