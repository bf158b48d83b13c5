// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ring is a ring buffer that is waited for in the runtime's poller. next is for one goroutine at
// a time.
type ring struct {
	*ringMemory
	file *os.File // a duplicate of the descriptor, for the poller
	conn syscall.RawConn
}

func openRing(m *ebpf.Map) (*ring, error) {
	memory, err := mapRing(m)
	if err != nil {
		return nil, fmt.Errorf("open ring buffer %s: %w", m, err)
	}
	r := &ring{ringMemory: memory}
	if err := r.openFile(m.FD()); err != nil {
		return nil, errors.Join(fmt.Errorf("open ring buffer %s: %w", m, err), memory.close())
	}
	return r, nil
}

func (r *ring) openFile(of int) error {
	fd, err := unix.FcntlInt(uintptr(of), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("duplicate its descriptor: %w", err)
	}
	err = unix.SetNonblock(fd, true) // the runtime polls no other
	r.file = os.NewFile(uintptr(fd), "ring buffer")
	if err == nil {
		r.conn, err = r.file.SyscallConn()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("wait for it: %w", err), r.file.Close())
	}
	return nil
}

// next reads a record into a buffer, which it may replace. It waits for a wakeup until the
// deadline, and looks once more then: most records come without. Its error wraps
// os.ErrDeadlineExceeded if there is none, and os.ErrClosed after close, also if it was waiting.
func (r *ring) next(to *[]byte, deadline time.Time) error {
	if r.take(to) {
		return nil
	}
	err := r.file.SetReadDeadline(deadline)
	if err == nil {
		err = r.conn.Read(func(uintptr) bool { return r.take(to) })
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && r.take(to) {
		return nil
	}
	if err != nil && r.closed() {
		return os.ErrClosed // the poller has its own error for closed files
	}
	return err
}

// close makes later reads fail, and then ends the one that waits.
func (r *ring) close() error { return errors.Join(r.ringMemory.close(), r.file.Close()) }
