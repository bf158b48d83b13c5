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

	// Of the reader: records of one sender that follow each other are subtracted together.
	group uint32
	owner uint16
	read  int32 // bytes
}

// readMax bounds the bytes that were read and are not subtracted yet: what a sender has free
// depends on them.
const readMax = 32 << 10

func openRingUses(maps map[string]*ebpf.Map) (*ringUses, error) {
	u := &ringUses{}
	var err error
	u.uses, err = elements[bpf.GetsockoptRingUse](&u.mapping, maps, bpf.GetsockoptMapRingUses)
	return u, err
}

// add adds a record that was read. It is for the reader, which calls subtract afterwards.
func (u *ringUses) add(sample []byte) {
	if group, owner := record.Sender(sample); group != u.group || owner != u.owner || u.read >= readMax {
		u.subtract()
		u.group, u.owner = group, owner
	}
	// As count_sent of bpf/ring.h has it.
	u.read += (int32(len(sample)) + unix.BPF_RINGBUF_HDR_SZ + 7) &^ 7
}

// subtract subtracts the records that were added, unless the memory is closed.
func (u *ringUses) subtract() {
	if u.read == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if index := groupIndex(u.group); int(index) < len(u.uses) && int(u.owner) < len(u.uses) {
		atomic.AddInt32(&u.uses[index].ByGroup, -u.read)
		atomic.AddInt32(&u.uses[u.owner].ByOwner, -u.read)
	}
	u.read = 0
}

// close may be called while records are read.
func (u *ringUses) close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.uses = nil
	return u.mapping.close()
}
