// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/shares"
)

// shareOfRest is TABLE_SHARE_OF_REST of bpf/shared_table.h.
const shareOfRest = 2

var errNoShare = errors.New("its container, unit or user has its share of the table")

// tableUse is what each owner has of a table.
type tableUse struct{ *bpf.GetsockoptTableUse }

// charge counts one more element for an owner. It returns false if the owner has its share.
func (u tableUse) charge(owner uint16) bool {
	threshold := shares.Threshold{Size: int(atomic.LoadInt32(&u.Size)), Ratio: shareOfRest}
	if !threshold.Allows(int(atomic.LoadInt32(&u.ByOwner[owner])), int(atomic.LoadInt32(&u.Used))) {
		return false
	}
	u.add(owner, 1)
	return true
}

func (u tableUse) discharge(owner uint16) { u.add(owner, -1) }

func (u tableUse) add(owner uint16, change int32) {
	atomic.AddInt32(&u.Used, change)
	atomic.AddInt32(&u.ByOwner[owner], change)
}

// sharedTable is a hash table by pid of which owners have shares.
type sharedTable[V any] struct {
	tableUse
	elements *ebpf.Map
	ownerOf  func(*V) uint16
	repair   repair
}

func openShared[V any](elements *ebpf.Map, use *bpf.GetsockoptTableUse, ownerOf func(*V) uint16) sharedTable[V] {
	use.Size = int32(elements.MaxEntries())
	return sharedTable[V]{tableUse: tableUse{use}, elements: elements, ownerOf: ownerOf}
}

// lookup returns the element of a process.
func (t *sharedTable[V]) lookup(pid uint32) (value V, found bool, err error) {
	err = t.elements.Lookup(pid, &value)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return value, false, nil
	}
	return value, err == nil, err
}

// delete deletes the element of a process. The kernel side may do so at the same time: only
// who succeeds discharges.
func (t *sharedTable[V]) delete(pid uint32) error {
	value, found, err := t.lookup(pid)
	if !found {
		return err
	}
	err = t.elements.Delete(pid)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	if err == nil {
		t.discharge(t.ownerOf(&value))
	}
	return err
}

// put gives a process an element in the place of the one that it has. One that the kernel
// side makes meanwhile stays.
func (t *sharedTable[V]) put(pid uint32, value *V) error {
	if err := t.delete(pid); err != nil {
		return err
	}
	owner := t.ownerOf(value)
	if !t.charge(owner) {
		return fmt.Errorf("%w: %d of %d elements", errNoShare, atomic.LoadInt32(&t.ByOwner[owner]), t.Size)
	}
	err := t.elements.Update(pid, value, ebpf.UpdateNoExist)
	if err != nil {
		t.discharge(owner)
	}
	if errors.Is(err, ebpf.ErrKeyExist) {
		return nil
	}
	return err
}

func (t *sharedTable[V]) recount() error {
	counted := &bpf.GetsockoptTableUse{}
	err := readEach(t.elements, func(_ *uint32, value *V) {
		counted.Used++
		counted.ByOwner[t.ownerOf(value)]++
	})
	if err != nil {
		return fmt.Errorf("count the elements of %s: %w", t.elements, err)
	}
	t.repair.compare(t.GetsockoptTableUse, counted)
	return nil
}

// repair corrects counts that do not agree with what there is. Elements come and go
// meanwhile, so it corrects a difference that was there at the last time too.
type repair struct{ excess bpf.GetsockoptTableUse }

func (r *repair) compare(use, counted *bpf.GetsockoptTableUse) {
	r.correct(&use.Used, counted.Used, &r.excess.Used)
	for owner := range use.ByOwner {
		r.correct(&use.ByOwner[owner], counted.ByOwner[owner], &r.excess.ByOwner[owner])
	}
}

func (r *repair) correct(use *int32, counted int32, excess *int32) {
	now := atomic.LoadInt32(use) - counted
	if now != 0 && now == *excess {
		atomic.AddInt32(use, -now)
		now = 0
	}
	*excess = now
}
