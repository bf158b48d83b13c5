// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/getsockopt/getsockoptreceiver/bpf"
)

// ioUring is what this kernel has of io_uring's getsockopt, which passes no
// system call hook.
type ioUring struct{ possible bool }

// ioUringEvents is what is seen of the requests by the tracepoints of io_uring,
// bpf/iouring_events.h.
type ioUringEvents struct {
	possible         bool
	returnSeen       bool // a program runs when io_uring_enter returns,
	returnSeenCompat bool // also to a 32-bit program
}

// findIOUring looks whether this kernel has the command at all. It came with 6.7,
// together with the function that it shares with the system call; the
// enumeration of the commands has no name before 6.16.
func findIOUring() (ioUring, error) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return ioUring{}, fmt.Errorf("read the kernel's type information: %w", err)
	}
	var shared *btf.Func
	switch err := kernel.TypeByName("do_sock_getsockopt", &shared); {
	case errors.Is(err, btf.ErrNotFound):
		return ioUring{}, nil
	case err != nil:
		return ioUring{}, fmt.Errorf("look for do_sock_getsockopt in the kernel's type information: %w", err)
	}
	return ioUring{possible: true}, nil
}

// eventsOf returns what the tracepoints show beside a hook. Where functions can be
// traced they are a second choice, and no system call runs a program for them.
func (u ioUring) eventsOf(h hook) ioUringEvents {
	return ioUringEvents{
		possible:         u.possible,
		returnSeen:       u.possible && (h.name == HookTracepoint || h.name == HookRawTracepoint),
		returnSeenCompat: u.possible && h.name == HookRawTracepoint, // syscalls tracepoints skip 32-bit calls
	}
}

// sides returns the programs to attach, submission last: what nothing would end
// must not begin.
func (e ioUringEvents) sides(h hook) []side {
	sides := []side{
		{program: bpf.GetsockoptProgIoUringTaskExit, attach: attachTracing},
		{program: bpf.GetsockoptProgIoUringComplete, attach: attachTracing},
		{program: bpf.GetsockoptProgIoUringOverflow, attach: attachTracing},
		{program: bpf.GetsockoptProgIoUringFailed, attach: attachTracing},
		{program: bpf.GetsockoptProgIoUringChainBroken, attach: attachTracing},
		{program: bpf.GetsockoptProgIoUringQueue, attach: attachTracing},
		{program: bpf.GetsockoptProgIoUringWait, attach: attachTracing},
	}
	if h.name == HookTracepoint { // the hook raw_tracepoint sees every return
		sides = append(sides, side{bpf.GetsockoptProgTracepointIoUringReturn, "sys_exit_io_uring_enter", attachTracepoint})
	}
	return append(sides, side{program: bpf.GetsockoptProgIoUringSubmit, attach: attachTracing})
}

// addIOUring loads and attaches the programs for io_uring beside the hook in use,
// over its maps: those of the function where the hook traces functions, else, or
// where they do not attach, those of the tracepoints.
func (p *Probe) addIOUring(h hook, o *Options, proof proof, u ioUring) error {
	if !u.possible {
		return nil
	}
	events := u.eventsOf(h)
	var errs []error
	for _, sides := range [][]side{h.ioUring, events.sides(h)} {
		if sides == nil {
			continue
		}
		err := p.attachIOUring(sides, o, proof, events)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (p *Probe) attachIOUring(sides []side, o *Options, proof proof, events ioUringEvents) (err error) {
	spec, err := bpf.LoadGetsockopt()
	if err != nil {
		return fmt.Errorf("read the embedded programs: %w", err)
	}
	keepPrograms(spec, sides)
	if err := configure(spec, o, proof, events); err != nil {
		return err
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: p.collection.Maps})
	if err != nil {
		logRefusal(o.Logger, "io_uring", err)
		return fmt.Errorf("load: %w", err)
	}
	var attached []io.Closer
	for _, s := range sides {
		closer, err := s.attach(c.Programs[s.program], s.target)
		if err != nil {
			err = fmt.Errorf("attach %s: %w", s.program, err)
			for _, closer := range attached {
				err = errors.Join(err, closer.Close())
			}
			c.Close()
			return err
		}
		attached = append(attached, closer)
	}
	p.ioUring = c
	p.attached = append(p.attached, attached...)
	return nil
}
