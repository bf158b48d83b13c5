// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/cilium/ebpf"
)

// residents are the tracing programs that were there when the benchmark began
// and stayed: what runs on this host anyway, and is part of every mode's time.
type residents []ebpf.ProgramID

func findResidents() (residents, error) {
	before, err := tracingPrograms()
	if err != nil {
		return nil, err
	}
	for range 20 {
		if len(before) == 0 {
			return nil, nil
		}
		time.Sleep(time.Second)
		now, err := tracingPrograms()
		if err != nil {
			return nil, err
		}
		before = slices.DeleteFunc(before, func(id ebpf.ProgramID) bool { return !slices.Contains(now, id) })
	}
	return before, nil
}

// waitLimit is how long a turn waits for the host: some are never quiet.
const waitLimit = 30 * time.Second

// wait returns once nothing traces the host but what always does, or when that
// does not come.
func (r residents) wait(ctx context.Context) error {
	for deadline := time.Now().Add(waitLimit); time.Now().Before(deadline); {
		now, err := tracingPrograms()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(now, func(id ebpf.ProgramID) bool { return !slices.Contains(r, id) }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// tracingPrograms lists the BPF programs that can run in a system call.
func tracingPrograms() ([]ebpf.ProgramID, error) {
	var found []ebpf.ProgramID
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list BPF programs: %w", err)
		}
		id = next
		p, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open BPF program %d: %w", id, err)
		}
		switch p.Type() {
		case ebpf.TracePoint, ebpf.RawTracepoint, ebpf.Tracing, ebpf.Kprobe, ebpf.PerfEvent, ebpf.RawTracepointWritable:
			found = append(found, id)
		}
		if err := p.Close(); err != nil {
			return nil, err
		}
	}
}
