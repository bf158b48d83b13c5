// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"testing"

	"github.com/cilium/ebpf"
)

// The maps take at most 16 MiB at default settings, also with more CPUs than there are:
// what grows with them is the kernel's spare entry in each hash table, and the scratch
// buffers. Of the guests of test/kernels one has 512.
func TestMemoryOfMaps(t *testing.T) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	o := spans(HookAuto)
	o.shards = Shards(cpus)
	p := open(t, o)
	var total uint64
	for name, m := range p.collection.Maps {
		info, err := m.Info()
		if err != nil {
			t.Fatal(err)
		}
		bytes, ok := info.Memlock()
		// Before 6.4 the kernel does not report these two; the storage of
		// threads takes no memory before there is one.
		switch {
		case ok:
		case info.Type == ebpf.RingBuf:
			bytes = uint64(info.MaxEntries)
		case info.Type == ebpf.TaskStorage:
		default:
			t.Fatalf("no memory size of map %s", name)
		}
		t.Logf("%-14s %9d", name, bytes)
		total += bytes
	}
	if limit := uint64(16 << 20); total > limit {
		t.Errorf("%d bytes with %d possible CPUs, want at most %d", total, cpus, limit)
	}
	t.Logf("%d bytes with %d possible CPUs", total, cpus)
}
