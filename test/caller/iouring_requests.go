// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"fmt"
	"io"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests is a way to make getsockopt requests of io_uring. Each reads SO_TYPE of a TCP
// socket and succeeds, and all have the same user data.
type Requests struct {
	Name string
	// Inline requests run while they are submitted, so that their results can be observed
	// whether or not the kernel posts a completion.
	Inline bool
	// Posted is how many requests have a completion that does not overflow. Of deferred
	// requests that number varies.
	Posted Posted
	make   func(n int)
}

// Posted is how many requests have a completion.
type Posted int

// The numbers.
const (
	PostedNone Posted = iota
	PostedSome
	PostedAll
)

// IOUringRequests returns all ways to make requests.
func IOUringRequests() []Requests {
	batch := func(setup uint32, flags byte) func(int) {
		return func(n int) {
			r := newRing(uint32(n), setup)
			answered(n, func(value unsafe.Pointer, fd uintptr) {
				r.push(getsockoptRequest(fd, unix.SO_TYPE, value, 4, flags))
			}, func() {
				r.submit(0)
				if flags&sqeSkipSuccess == 0 {
					worked(n, r.reapAll(n))
				}
			})
		}
	}
	return []Requests{
		{Name: "batch", Inline: true, Posted: PostedAll, make: batch(0, 0)},
		{Name: "skip", Inline: true, Posted: PostedNone, make: batch(0, sqeSkipSuccess)},
		{Name: "overflow", Inline: true, Posted: PostedNone, make: overflow(0)},
		{Name: "registered", Inline: true, Posted: PostedAll, make: registered(0)},
		{Name: "registered skip", Inline: true, Posted: PostedNone, make: registered(sqeSkipSuccess)},
		{Name: "async", Posted: PostedAll, make: batch(0, sqeAsync)},
		{Name: "async skip", Posted: PostedNone, make: batch(0, sqeAsync|sqeSkipSuccess)},
		{Name: "async overflow", Posted: PostedSome, make: overflow(sqeAsync)},
		{Name: "link", Posted: PostedAll, make: chain(sqeLink)},
		{Name: "hard link", Posted: PostedAll, make: chain(sqeHardLink)},
		{Name: "link skip", Posted: PostedNone, make: chain(sqeLink | sqeSkipSuccess)},
		{Name: "drain", Posted: PostedAll, make: batch(0, sqeDrain)},
		{Name: "poller", Posted: PostedAll, make: batch(setupPoller, 0)},
		{Name: "poller skip", Posted: PostedNone, make: batch(setupPoller, sqeSkipSuccess)},
	}
}

// requests makes n requests in the named way.
func requests(name string, n int) {
	i := slices.IndexFunc(IOUringRequests(), func(r Requests) bool { return r.Name == name })
	if i < 0 {
		fatal("unknown way %q to make requests", name)
	}
	IOUringRequests()[i].make(n)
}

// answered makes n requests, each with its own buffer for the value, and waits until all
// values are written: there may be no completion to wait for.
func answered(n int, push func(value unsafe.Pointer, fd uintptr), submit func()) {
	fd := socket(unix.AF_INET, unix.SOCK_STREAM)
	values := make([]int32, n)
	for i := range values {
		push(unsafe.Pointer(&values[i]), fd)
	}
	submit()
	for range 5000 {
		if !slices.ContainsFunc(values, func(v int32) bool { return v != unix.SOCK_STREAM }) {
			return
		}
		_ = unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
	}
	fatal("not all requests were answered: %v", values)
}

func worked(n int, results []int32) {
	for _, result := range results {
		if result != 4 {
			fatal("getsockopt through io_uring: %d", result)
		}
	}
	if len(results) != n {
		fatal("%d requests completed, want %d", len(results), n)
	}
}

// overflow makes requests in a ring of 8, whose completion queue holds 16, and reaps
// completions only after all of them. Sends follow, for which the kernel reuses the memory
// of the requests: they fail, and are not getsockopt requests.
func overflow(flags byte) func(int) {
	return func(n int) {
		r := newRing(8, 0)
		answered(n, func(value unsafe.Pointer, fd uintptr) {
			r.push(getsockoptRequest(fd, unix.SO_TYPE, value, 4, flags))
			if r.waiting == 8 {
				r.submit(0)
			}
		}, func() {
			r.submit(0)
			worked(n, r.reapAll(n))
		})
		sends(r)
	}
}

func sends(r *ring) {
	fd := socket(unix.AF_INET, unix.SOCK_STREAM)
	for range 8 {
		e := sqe{0: opSend}
		e[4] = byte(fd)
		e[29] = unix.MSG_NOSIGNAL >> 8
		r.push(e)
	}
	r.submit(8)
	for _, result := range r.reapAll(8) {
		if result != -int32(unix.EPIPE) {
			fatal("send on a socket that is not connected: %d", result)
		}
	}
}

// registered makes requests on a registered file.
func registered(flags byte) func(int) {
	return func(n int) {
		r := newRing(uint32(n), 0)
		first := true
		answered(n, func(value unsafe.Pointer, fd uintptr) {
			if first {
				r.register(int32(fd))
				first = false
			}
			r.push(getsockoptRequest(0, unix.SO_TYPE, value, 4, flags|sqeFixedFile))
		}, func() {
			r.submit(0)
			if flags&sqeSkipSuccess == 0 {
				worked(n, r.reapAll(n))
			}
		})
	}
}

// chain makes chains of four requests.
func chain(flags byte) func(int) {
	return func(n int) {
		r := newRing(uint32(n), 0)
		pushed := 0
		answered(n, func(value unsafe.Pointer, fd uintptr) {
			own := flags
			if pushed++; pushed%4 == 0 {
				own &^= sqeLink | sqeHardLink
			}
			r.push(getsockoptRequest(fd, unix.SO_TYPE, value, 4, own))
		}, func() {
			r.submit(0)
			if flags&sqeSkipSuccess == 0 {
				worked(n, r.reapAll(n))
			}
		})
	}
}

// Broken makes n chains whose first request fails, so that two getsockopt requests
// are cancelled, one of them of a registered file. Each chain has a ring of its own,
// which ends with it. The first request has the flags.
func Broken(n int, flags byte) {
	fd := socket(unix.AF_INET, unix.SOCK_STREAM)
	for range n {
		r := newRing(4, 0)
		r.register(int32(fd))
		send := sqe{0: opSend, 1: sqeLink | flags}
		send[4] = byte(fd)
		send[29] = unix.MSG_NOSIGNAL >> 8
		r.push(send)
		r.push(getsockoptRequest(fd, unix.SO_TYPE, unsafe.Pointer(&heldValue), 4, sqeLink))
		r.push(getsockoptRequest(0, unix.SO_TYPE, unsafe.Pointer(&heldValue), 4, sqeFixedFile))
		r.submit(0)
		if flags&sqeSkipSuccess == 0 {
			for _, result := range r.reapAll(3)[1:] {
				if result != -int32(unix.ECANCELED) {
					fatal("getsockopt in a broken chain: %d", result)
				}
			}
		}
		r.close()
	}
}

// Abandon makes n requests that run on worker threads and overflow the completion
// queue, closes their ring, writes a line, and waits for the end of its input.
func Abandon(n int) {
	r := newRing(8, 0)
	answered(n, func(value unsafe.Pointer, fd uintptr) {
		r.push(getsockoptRequest(fd, unix.SO_TYPE, value, 4, sqeAsync))
		if r.waiting == 8 {
			r.submit(0)
		}
	}, func() { r.submit(0) })
	r.close()
	fmt.Println(n)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

var heldValue [64]byte

// Hold makes a chain of n requests behind a read that does not end, writes a line,
// and waits for the end of its input.
func Hold(n int) {
	holdRequests(n)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// Late is Hold, but lets the requests run when its input ends.
func Late(n int) {
	r, pipe := holdRequests(n)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if _, err := unix.Write(pipe, []byte{0}); err != nil {
		fatal("write: %v", err)
	}
	worked(n, r.reapAll(n + 1)[1:])
}

// holdRequests makes a chain of n requests behind a read, and writes a line. A byte in the
// pipe lets them run.
func holdRequests(n int) (r *ring, end int) {
	r = newRing(uint32(n)+1, 0)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		fatal("pipe: %v", err)
	}
	fd := socket(unix.AF_INET, unix.SOCK_STREAM)
	read := sqe{0: opRead, 1: sqeLink}
	read[4] = byte(pipe[0])
	read[24] = 1
	*(*uint64)(unsafe.Pointer(&read[16])) = uint64(uintptr(unsafe.Pointer(&heldValue)))
	r.push(read)
	for range n {
		r.push(getsockoptRequest(fd, unix.SO_TYPE, unsafe.Pointer(&heldValue), 4, sqeLink))
	}
	r.submit(0)
	fmt.Println(n)
	return r, pipe[1]
}

// Reads makes n requests that are none of getsockopt, on sockets.
func Reads(n int) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fatal("socketpair: %v", err)
	}
	r := newRing(uint32(n), 0)
	buffers := make([][64]byte, n)
	for i := range buffers {
		if _, err := unix.Write(pair[1], heldValue[:]); err != nil {
			fatal("write: %v", err)
		}
		e := sqe{0: opRead}
		e[4] = byte(pair[0])
		e[24] = 64
		*(*uint64)(unsafe.Pointer(&e[16])) = uint64(uintptr(unsafe.Pointer(&buffers[i])))
		r.push(e)
		if i%8 == 7 {
			r.submit(8)
			for _, result := range r.reap() {
				if result != 64 {
					fatal("read: %d", result)
				}
			}
		}
	}
}
