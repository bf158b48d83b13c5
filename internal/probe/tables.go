// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
)

// tables is the memory of the maps that user space reads and writes while the programs
// run. The library's access to it has no atomic operations.
type tables struct {
	series []bpf.GetsockoptSeriesSlot
	counts []bpf.GetsockoptSeriesCounts
	slow   []bpf.GetsockoptSlowCounts // by slot less firstSlot
	groups []bpf.GetsockoptGroupState // by index
	owners []bpf.GetsockoptOwnerState // by index
	peers  []peerWords                // by slot less firstSlot; one unless they distinguish series
	shares *bpf.GetsockoptShares
	checks []bpf.GetsockoptProcessCheck
	uses   []bpf.GetsockoptTableUse // by enum shared_table

	mapped [][]byte
}

// Sections of variables, each a map.
const (
	sharesSection = ".data.shares"
	checksSection = ".data.checks"
	tablesSection = ".data.tables"
)

func openTables(maps map[string]*ebpf.Map) (_ *tables, err error) {
	t := &tables{}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	if t.series, err = elements[bpf.GetsockoptSeriesSlot](t, maps, bpf.GetsockoptMapSeries); err != nil {
		return nil, err
	}
	if t.counts, err = elements[bpf.GetsockoptSeriesCounts](t, maps, bpf.GetsockoptMapSeriesCounts); err != nil {
		return nil, err
	}
	if t.slow, err = elements[bpf.GetsockoptSlowCounts](t, maps, bpf.GetsockoptMapSlowCounts); err != nil {
		return nil, err
	}
	if t.groups, err = elements[bpf.GetsockoptGroupState](t, maps, bpf.GetsockoptMapGroupStates); err != nil {
		return nil, err
	}
	if t.owners, err = elements[bpf.GetsockoptOwnerState](t, maps, bpf.GetsockoptMapOwnerStates); err != nil {
		return nil, err
	}
	if t.peers, err = elements[peerWords](t, maps, bpf.GetsockoptMapSeriesPeers); err != nil {
		return nil, err
	}
	shares, err := elements[bpf.GetsockoptShares](t, maps, sharesSection)
	if err != nil {
		return nil, err
	}
	t.shares = &shares[0]
	if t.checks, err = elements[bpf.GetsockoptProcessCheck](t, maps, checksSection); err != nil {
		return nil, err
	}
	if t.uses, err = elements[bpf.GetsockoptTableUse](t, maps, tablesSection); err != nil {
		return nil, err
	}
	return t, nil
}

// elements maps an array into memory.
func elements[T any](t *tables, maps map[string]*ebpf.Map, name string) ([]T, error) {
	m := maps[name]
	if m == nil {
		return nil, fmt.Errorf("map the memory of %s: the object has no such map", name)
	}
	size := int(m.MaxEntries()) * int(m.ValueSize())
	b, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the memory of %s: %w", name, err)
	}
	t.mapped = append(t.mapped, b)
	var element T
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), size/int(unsafe.Sizeof(element))), nil
}

// close unmaps the memory, which must not be used afterwards.
func (t *tables) close() error {
	var errs []error
	for _, b := range t.mapped {
		if err := unix.Munmap(b); err != nil {
			errs = append(errs, fmt.Errorf("unmap the memory of a map: %w", err))
		}
	}
	*t = tables{}
	return errors.Join(errs...)
}
