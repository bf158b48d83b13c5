// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// ringUses is how much of the ring buffer groups and owners hold: the BPF programs add the
// records that they send, and the reader subtracts those that it has read.
type ringUses struct {
	mu      sync.Mutex // held while the memory is used, and to unmap it
	mapping tables
	uses    []bpf.GetsockoptRingUse
}

func openRingUses(maps map[string]*ebpf.Map) (*ringUses, error) {
	u := &ringUses{}
	var err error
	u.uses, err = elements[bpf.GetsockoptRingUse](&u.mapping, maps, bpf.GetsockoptMapRingUses)
	return u, err
}

// subtract subtracts a record that was read, unless the memory is closed.
func (u *ringUses) subtract(sample []byte) {
	// As count_sent of bpf/ring.h has it.
	size := (int32(len(sample)) + unix.BPF_RINGBUF_HDR_SZ + 7) &^ 7
	group, owner := record.Sender(sample)
	u.mu.Lock()
	defer u.mu.Unlock()
	if index := groupIndex(group); int(index) < len(u.uses) && int(owner) < len(u.uses) {
		atomic.AddInt32(&u.uses[index].ByGroup, -size)
		atomic.AddInt32(&u.uses[owner].ByOwner, -size)
	}
}

// close may be called while records are read.
func (u *ringUses) close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.uses = nil
	return u.mapping.close()
}
