// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// grace waits for running programs. Whatever user space changed before, no program that
// runs afterwards uses what it read earlier.
//
// The update of a map in a map returns only when the programs that may use the old one
// have ended (4.19, maybe_wait_bpf_programs in kernel/bpf/syscall.c). It waits for RCU
// readers, which the programs of all hooks are: those of trampolines (__bpf_prog_enter),
// of kprobes and perf events (trace_call_bpf), and of raw tracepoints (__bpf_trace_run).
// membarrier(2) would do the same, but does nothing on a host with one CPU.
type grace struct {
	outer, inner *ebpf.Map
}

func newGrace() (*grace, error) {
	array := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	inner, err := ebpf.NewMap(array)
	if err != nil {
		return nil, fmt.Errorf("create a map: %w", err)
	}
	outer, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerMap: array})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create a map of maps: %w", err), inner.Close())
	}
	return &grace{outer: outer, inner: inner}, nil
}

// wait takes some milliseconds to tens of them.
func (g *grace) wait() error {
	if err := g.outer.Put(uint32(0), g.inner); err != nil {
		return fmt.Errorf("wait for running programs: %w", err)
	}
	return nil
}

func (g *grace) close() error { return errors.Join(g.outer.Close(), g.inner.Close()) }
