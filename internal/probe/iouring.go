// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/getsockopt/getsockoptreceiver/bpf"
)

// ioUringSides see io_uring's getsockopt, which passes no system call hook.
var ioUringSides = []side{
	{program: bpf.GetsockoptProgIoUringComplete, attach: attachTracing},
	{program: bpf.GetsockoptProgIoUringSubmit, attach: attachTracing},
}

// hasIOUringGetsockopt says whether this kernel has the command at all. It came
// with 6.7, together with the function that it shares with the system call; the
// enumeration of the commands has no name before 6.16.
func hasIOUringGetsockopt() (bool, error) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return false, fmt.Errorf("read the kernel's type information: %w", err)
	}
	var shared *btf.Func
	switch err := kernel.TypeByName("do_sock_getsockopt", &shared); {
	case errors.Is(err, btf.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for do_sock_getsockopt in the kernel's type information: %w", err)
	}
	return true, nil
}

// addIOUring loads and attaches the two programs beside the hook in use, over
// its maps.
func (p *Probe) addIOUring(o *Options, proof proof) (err error) {
	has, err := hasIOUringGetsockopt()
	if err != nil || !has {
		return err
	}
	spec, err := bpf.LoadGetsockopt()
	if err != nil {
		return fmt.Errorf("read the embedded programs: %w", err)
	}
	keepPrograms(spec, ioUringSides)
	if err := configure(spec, o, proof); err != nil {
		return err
	}
	p.ioUring, err = ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: p.collection.Maps})
	if err != nil {
		logRefusal(o.Logger, "io_uring", err)
		return fmt.Errorf("load: %w", err)
	}
	for _, s := range ioUringSides {
		closer, err := s.attach(p.ioUring.Programs[s.program], s.target)
		if err != nil {
			return fmt.Errorf("attach: %w", err)
		}
		p.attached = append(p.attached, closer)
	}
	return nil
}
