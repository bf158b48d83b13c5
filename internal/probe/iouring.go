// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf/btf"

	"github.com/getsockopt/getsockoptreceiver/bpf"
)

// ioUring is whether this kernel has getsockopt requests of io_uring, which do not pass
// the hooks of the system call.
type ioUring struct{ possible bool }

// ioUringEvents is what the tracepoints of io_uring observe of requests,
// bpf/iouring_events.h.
type ioUringEvents struct {
	possible         bool
	returnSeen       bool // a program runs when io_uring_enter returns to a native program
	returnSeenCompat bool // and when it returns to a 32-bit program
}

// findIOUring checks whether this kernel has getsockopt requests. They came with 6.7,
// together with do_sock_getsockopt, the function that they share with the system call;
// the enumeration of the commands has no name before 6.16.
func findIOUring(kernel *btf.Cache) (ioUring, error) {
	types, err := kernel.Kernel()
	if err != nil {
		return ioUring{}, fmt.Errorf("read the kernel's type information: %w", err)
	}
	var shared *btf.Func
	switch err := types.TypeByName("do_sock_getsockopt", &shared); {
	case errors.Is(err, btf.ErrNotFound):
		return ioUring{}, nil
	case err != nil:
		return ioUring{}, fmt.Errorf("look for do_sock_getsockopt in the kernel's type information: %w", err)
	}
	return ioUring{possible: true}, nil
}

// eventsOf returns what the tracepoints observe in addition to a hook. Hooks that trace
// functions use them as a fallback only, and attach no program to system calls for them.
func (u ioUring) eventsOf(h hook) ioUringEvents {
	return ioUringEvents{
		possible:         u.possible,
		returnSeen:       u.possible && (h.name == HookTracepoint || h.name == HookRawTracepoint),
		returnSeenCompat: u.possible && h.name == HookRawTracepoint, // syscalls tracepoints skip 32-bit calls
	}
}

// attachments returns the programs to attach, in this order: a request must not begin
// before its end can be observed, so submission is last.
func (e ioUringEvents) attachments(h hook) []attachment {
	attachments := []attachment{
		{program: bpf.GetsockoptProgIoUringTaskExit, attach: attachTracing},
		{program: bpf.GetsockoptProgIoUringComplete, attach: attachTracing},
		{program: bpf.GetsockoptProgIoUringOverflow, attach: attachTracing},
		{program: bpf.GetsockoptProgIoUringFailed, attach: attachTracing},
		{program: bpf.GetsockoptProgIoUringChainBroken, attach: attachTracing},
		{program: bpf.GetsockoptProgIoUringQueue, attach: attachTracing},
		{program: bpf.GetsockoptProgIoUringWait, attach: attachTracing},
	}
	if h.name == HookTracepoint { // the hook raw_tracepoint sees every return
		attachments = append(attachments, attachment{bpf.GetsockoptProgTracepointIoUringReturn, "sys_exit_io_uring_enter", attachTracepoint})
	}
	return append(attachments, attachment{program: bpf.GetsockoptProgIoUringSubmit, attach: attachTracing})
}

// addIOUring loads and attaches the programs for io_uring, with the maps of the hook in
// use: those of the function if the hook traces functions. If it does not, or if they do
// not attach, those of the tracepoints.
func (p *Probe) addIOUring(l *loader) error {
	if !l.ioUring.possible {
		return nil
	}
	var errs []error
	for _, attachments := range [][]attachment{p.hook.ioUring, l.ioUring.eventsOf(p.hook).attachments(p.hook)} {
		if attachments == nil {
			continue
		}
		err := p.attachIOUring(attachments, l)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (p *Probe) attachIOUring(attachments []attachment, l *loader) error {
	loaded, err := l.programs("io_uring", attachments, p.collection.Maps)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var attached []io.Closer
	for _, a := range attachments {
		closer, err := a.attach(loaded[a.program], a.target)
		if err != nil {
			err = fmt.Errorf("attach %s: %w", a.program, err)
			for _, closer := range attached {
				err = errors.Join(err, closer.Close())
			}
			return errors.Join(err, loaded.close())
		}
		attached = append(attached, closer)
	}
	p.ioUring = loaded
	p.attached = append(p.attached, attached...)
	return nil
}
