// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/cilium/ebpf"
)

// objects are the ids of the kernel's BPF programs and maps.
type objects struct{ programs, maps map[uint32]bool }

func kernelObjects() (o objects, err error) {
	if o.programs, err = ids(ebpf.ProgramGetNextID); err != nil {
		return o, fmt.Errorf("list BPF programs: %w", err)
	}
	if o.maps, err = ids(ebpf.MapGetNextID); err != nil {
		return o, fmt.Errorf("list BPF maps: %w", err)
	}
	return o, nil
}

func ids[ID ~uint32](next func(ID) (ID, error)) (map[uint32]bool, error) {
	found := make(map[uint32]bool)
	for id := ID(0); ; {
		var err error
		if id, err = next(id); errors.Is(err, os.ErrNotExist) {
			return found, nil
		} else if err != nil {
			return nil, err
		}
		found[uint32(id)] = true
	}
}

// checkNothingLeft waits for the kernel to free what is no longer used, which
// it does after a grace period.
func (o objects) checkNothingLeft() error {
	var left string
	for range 100 {
		// A mapped array stays until the collector has seen that nobody uses the
		// mapping any more (ebpf.Memory).
		runtime.GC()
		now, err := kernelObjects()
		if err != nil {
			return err
		}
		left = ""
		if n := len(added(o.programs, now.programs)); n > 0 {
			left += fmt.Sprintf("%d programs ", n)
		}
		if n := len(added(o.maps, now.maps)); n > 0 {
			left += fmt.Sprintf("%d maps ", n)
		}
		if left == "" {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("left in the kernel: %s", left)
}

func added(before, after map[uint32]bool) []uint32 {
	var ids []uint32
	for id := range after {
		if !before[id] {
			ids = append(ids, id)
		}
	}
	return ids
}
