// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ring is a ring buffer whose wakeups come through a channel. The runtime's poller waits for
// them: the library's reader waits in epoll_wait(2), which holds a thread, and keeps the
// runtime's monitor busy for 10 ms each time.
type ring struct {
	*ringMemory
	file *os.File // a duplicate of the descriptor, for the runtime's poller
	// woken holds a wakeup that came since the last one was taken. It is closed with the ring.
	woken chan struct{}
}

func openRing(m *ebpf.Map) (*ring, error) {
	memory, err := mapRing(m)
	if err != nil {
		return nil, fmt.Errorf("open ring buffer %s: %w", m, err)
	}
	r := &ring{ringMemory: memory, woken: make(chan struct{}, 1)}
	if err := r.listen(m); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for ring buffer %s: %w", m, err), memory.close())
	}
	return r, nil
}

// listen passes on wakeups until the file is closed.
func (r *ring) listen(m *ebpf.Map) error {
	fd, err := unix.FcntlInt(uintptr(m.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("duplicate the descriptor: %w", err)
	}
	err = unix.SetNonblock(fd, true) // the runtime polls no other
	r.file = os.NewFile(uintptr(fd), "ring buffer")
	if err == nil {
		err = r.file.SetReadDeadline(time.Time{}) // fails unless the runtime polls it
	}
	conn, failed := r.file.SyscallConn()
	if err = errors.Join(err, failed); err != nil {
		return errors.Join(err, r.file.Close())
	}
	go func() {
		defer close(r.woken)
		// One Read that never completes: another would forget a wakeup that came before it.
		_ = conn.Read(func(uintptr) (done bool) {
			select {
			case r.woken <- struct{}{}:
			default:
			}
			return false
		})
	}()
	return nil
}

// wakeups receives after records were written to an empty ring buffer, and for ever once that
// is closed. It is nil without a ring.
func (r *ring) wakeups() <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.woken
}

// next reads the next record into a buffer, which it may replace, if there is one. It is for one
// goroutine at a time.
func (r *ring) next(to *[]byte) (found bool, err error) {
	if r.take(to) {
		return true, nil
	}
	if r.closed() {
		return false, os.ErrClosed
	}
	return false, nil
}

// drain drops what is in the ring buffer.
func (r *ring) drain() error {
	var dropped []byte
	for {
		if found, err := r.next(&dropped); !found {
			return err
		}
	}
}

// close makes later reads fail with an error that wraps os.ErrClosed.
func (r *ring) close() error { return errors.Join(r.ringMemory.close(), r.file.Close()) }
