// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"hash/maphash"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
)

// enum shared_table of bpf/records.h.
const (
	tablePublishers = iota
	tableNames
	tableAwaited
	tableContexts
)

// recountPeriod is how often the elements of shared tables are counted again.
const recountPeriod = 10 * time.Second

// sharedTables are the tables of processes that publish something, of which owners have
// shares: bpf/shared_table.h. The caller holds Probe.mu.
type sharedTables struct {
	seed       maphash.Seed
	publishers sharedTable[bpf.GetsockoptPublisher]
	names      sharedTable[bpf.GetsockoptPublishedNames]
	awaited    sharedTable[bpf.GetsockoptAwaitedContext]
	contexts   tableUse // the ring buffer of process contexts
}

func openSharedTables(maps map[string]*ebpf.Map, uses []bpf.GetsockoptTableUse) *sharedTables {
	s := &sharedTables{
		seed:       maphash.MakeSeed(),
		publishers: openShared(maps[bpf.GetsockoptMapPublishers], &uses[tablePublishers], func(v *bpf.GetsockoptPublisher) uint16 { return v.Owner }),
		names:      openShared(maps[bpf.GetsockoptMapPublishedNames], &uses[tableNames], func(v *bpf.GetsockoptPublishedNames) uint16 { return v.Owner }),
		awaited:    openShared(maps[bpf.GetsockoptMapAwaitedContexts], &uses[tableAwaited], func(v *bpf.GetsockoptAwaitedContext) uint16 { return v.Owner }),
		contexts:   tableUse{&uses[tableContexts]},
	}
	record := unix.BPF_RINGBUF_HDR_SZ + unsafe.Sizeof(bpf.GetsockoptProcessContext{})
	s.contexts.Size = int32(maps[bpf.GetsockoptMapProcessContexts].MaxEntries() / uint32(record))
	return s
}

// owner returns an owner as the tables have it.
func (s *sharedTables) owner(o string) uint16 {
	return uint16(maphash.String(s.seed, o) % uint64(len(s.contexts.ByOwner)))
}

// recount counts the elements again: a count may be wrong if an element was exchanged for
// that of another owner between a lookup and the deletion.
func (s *sharedTables) recount() error {
	return errors.Join(s.publishers.recount(), s.names.recount(), s.awaited.recount())
}
