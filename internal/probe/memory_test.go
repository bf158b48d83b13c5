// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
)

// mapMemory returns what the maps take, as the kernel accounts it.
func mapMemory(t *testing.T, o Options) (total uint64) {
	t.Helper()
	if err := rlimit.RemoveMemlock(); err != nil { // counts BPF maps before 5.11
		t.Fatal(err)
	}
	o.setDefaults()
	l, err := newLoader(&o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.createMaps(hooks[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, m := range c.Maps {
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
	return total
}

// The maps take at most 16 MiB at default settings, also with more CPUs than there are:
// what grows with them is the kernel's spare entry in each hash table, the counts of series
// and the scratch buffers. Of the guests of test/kernels one has 512.
func TestMemoryOfMaps(t *testing.T) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	total := mapMemory(t, spans(HookAuto))
	if limit := uint64(16 << 20); total > limit {
		t.Errorf("%d bytes with %d possible CPUs, want at most %d", total, cpus, limit)
	}
	t.Logf("%d bytes with %d possible CPUs", total, cpus)
}

// A series above the default takes at most what docs/metrics.md has.
func TestMemoryOfASeries(t *testing.T) {
	for shards, limit := range map[int]uint64{1: 2304, maxShards: 3100} {
		const few, many = 4000, 14_000
		o := spans(HookAuto)
		o.shards, o.SeriesLimit = shards, few
		before := mapMemory(t, o)
		o.SeriesLimit = many
		if each := (mapMemory(t, o) - before) / (many - few); each > limit {
			t.Errorf("%d bytes with %d shards of counts, want at most %d", each, shards, limit)
		}
	}
}
