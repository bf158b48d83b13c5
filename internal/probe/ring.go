// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// ring is a ring buffer whose wakeups come through a channel. The runtime's poller waits for
// them: the library's reader waits in epoll_wait(2), which holds a thread, and keeps the
// runtime's monitor busy for 10 ms each time.
type ring struct {
	reader *ringbuf.Reader
	file   *os.File // a duplicate, for the runtime's poller
	// woken holds a wakeup that came since the last one was taken. It is closed with the ring.
	woken chan struct{}
}

// long ago: the library's reader does not wait.
var longAgo = time.Unix(1, 0)

func openRing(m *ebpf.Map) (_ *ring, err error) {
	r := &ring{woken: make(chan struct{}, 1)}
	if r.reader, err = ringbuf.NewReader(m); err != nil {
		return nil, fmt.Errorf("open ring buffer %s: %w", m, err)
	}
	r.reader.SetDeadline(longAgo)
	if err := r.listen(m); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for ring buffer %s: %w", m, err), r.reader.Close())
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
		// One Read for all: what comes before another would begin is forgotten.
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

// next reads the next record, if there is one.
func (r *ring) next(to *ringbuf.Record) (found bool, err error) {
	err = r.reader.ReadInto(to)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return err == nil, err
}

// drain drops what is in the ring buffer.
func (r *ring) drain() error {
	var dropped ringbuf.Record
	for {
		if found, err := r.next(&dropped); !found {
			return err
		}
	}
}

// close makes later reads fail with an error that wraps os.ErrClosed.
func (r *ring) close() error { return errors.Join(r.reader.Close(), r.file.Close()) }
