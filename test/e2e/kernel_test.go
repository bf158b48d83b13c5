// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// kernelObjects returns the ids of the BPF programs, maps and links that a
// process holds, by kind.
func kernelObjects(t *testing.T, pid int) map[string][]uint32 {
	t.Helper()
	held := map[string][]uint32{}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // a descriptor that was closed meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			key, value, _ := strings.Cut(lines.Text(), ":")
			if key != "prog_id" && key != "map_id" && key != "link_id" {
				continue
			}
			id, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			held[key] = append(held[key], uint32(id))
		}
		f.Close()
	}
	return held
}

// exists reports whether the kernel still has an object.
func exists(kind string, id uint32) (bool, error) {
	var err error
	switch kind {
	case "prog_id":
		var p *ebpf.Program
		if p, err = ebpf.NewProgramFromID(ebpf.ProgramID(id)); err == nil {
			return true, p.Close()
		}
	case "map_id":
		var m *ebpf.Map
		if m, err = ebpf.NewMapFromID(ebpf.MapID(id)); err == nil {
			return true, m.Close()
		}
	case "link_id":
		var l link.Link
		if l, err = link.NewFromID(link.ID(id)); err == nil {
			return true, l.Close()
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return false, err
}

func TestNothingStaysInTheKernel(t *testing.T) {
	c := collector(t, newSink(t).config(t, defaults, noMetrics))
	held := kernelObjects(t, c.PID())
	if len(held["prog_id"]) < 2 || len(held["map_id"]) < 2 {
		t.Fatalf("the Collector holds %v, want programs and maps", held)
	}
	c.stop(t)
	// The kernel frees them after its grace periods.
	harness.Eventually(t, 10*time.Second, fmt.Sprintf("%v are gone", held), func() bool {
		for kind, ids := range held {
			for _, id := range ids {
				there, err := exists(kind, id)
				if err != nil {
					t.Fatal(err)
				}
				if there {
					return false
				}
			}
		}
		return true
	})
}
