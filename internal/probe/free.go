// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sampling"
)

// freeSlots takes slots from their series. The index is deleted first, so that only those
// who know the slot find it, and the key next. Programs that found the key have ended
// after the grace period: nothing is counted any more, and the rest can be taken. needed
// is whether metrics still have the series.
func (p *places) freeSlots(ids []uint32, needed bool) error {
	if len(ids) == 0 {
		return nil
	}
	for _, id := range ids {
		key := p.counts[int(id)-p.firstSlot()].Key
		if err := p.maps[bpf.GetsockoptMapSeriesIndex].Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("delete a series from the index: %w", err)
		}
		p.clearKey(id)
	}
	if err := p.grace.wait(); err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		s := &p.slots[id]
		p.lose(id, needed)
		group := &p.tables.groups[groupIndex(s.key.Group)]
		atomic.AddUint32(&group.Slots, ^uint32(0))
		atomic.AddUint32(&p.owners[group.Owner].Slots, ^uint32(0))
		p.dropSampling(id)
		*s = slotInfo{}
		p.used--
		atomic.AddInt64(&p.shares.FreeSlots, 1)
		if err := p.maps[bpf.GetsockoptMapFreeSlots].Put(nil, id); err != nil {
			errs = append(errs, fmt.Errorf("return the slot of a series to the freelist: %w", err))
		}
	}
	for p.slotsEnd > p.firstSlot() && !p.slots[p.slotsEnd-1].used {
		p.slotsEnd--
	}
	return errors.Join(errs...)
}

// lose takes the last calls of a slot. Those of a series that metrics do not know are
// counted in the overflow of its group: so what waits is bounded by what metrics know.
func (p *places) lose(id uint32, needed bool) {
	s := &p.slots[id]
	called := p.takeToWait(id, s.key, !s.sent)
	p.takeSampling(id)
	if s.sent && (called || needed) {
		p.evicted[s.key] = true
	}
}

// takeToWait takes the calls of a slot to those that wait, and reports whether there are any.
func (p *places) takeToWait(id uint32, key record.SeriesKey, overflow bool) bool {
	taken := record.Series{Buckets: p.buckets[:]}
	if !p.take(id, &taken) {
		return false
	}
	// Most calls of a series are in a few buckets, and thousands of series wait.
	first, used := histogram.Trim(taken.Buckets)
	p.wait(&record.Series{SeriesKey: key, Overflow: overflow, Sum: taken.Sum, First: first, Buckets: slices.Clone(used)})
	clear(taken.Buckets)
	return true
}

// wait adds calls to those that wait for the next snapshot.
func (p *places) wait(rest *record.Series) {
	if rest.Overflow {
		if g := &p.groups[groupIndex(rest.Group)]; !g.known || g.group.ID != rest.Group {
			if _, sent := p.gone[rest.Group]; !sent {
				rest.Group = record.GroupOverflow
			}
		}
		rest.SeriesKey = record.SeriesKey{Group: rest.Group, Pending: rest.Pending}
	}
	key := waitingKey{rest.SeriesKey, rest.Overflow}
	before := p.waiting[key]
	if before == nil {
		p.waiting[key] = rest
		return
	}
	before.Sum += rest.Sum
	all := make([]uint64, histogram.Buckets)
	copy(all[before.First:], before.Buckets)
	for i, n := range rest.Buckets {
		all[rest.First+i] += n
	}
	before.First, before.Buckets = 0, all
}

// waitWithoutGroup names no group for the calls of one that is gone before metrics knew it:
// so what waits names no more groups than metrics know and the kernel has.
func (p *places) waitWithoutGroup(number uint32) {
	if _, sent := p.gone[number]; sent {
		return
	}
	for _, pending := range []bool{false, true} {
		key := waitingKey{record.SeriesKey{Group: number, Pending: pending}, true}
		if rest := p.waiting[key]; rest != nil {
			delete(p.waiting, key)
			p.wait(rest)
		}
	}
}

// freeGroups takes places from groups. Only if forced it takes those of groups that are
// in use: that have slots, calls or a living process.
//
// First no new process finds the group. What began before has ended after a grace period,
// and shows whether the group is in use. Then its number becomes that of the next one. After another
// grace period no program takes the old number for valid, so the slots that carry it are
// all there are.
func (p *places) freeGroups(indices []uint32, forced bool) error {
	if len(indices) == 0 {
		return nil
	}
	for _, index := range indices {
		if err := p.detach(index); err != nil {
			return err
		}
	}
	if !forced {
		if err := p.grace.wait(); err != nil {
			return err
		}
		living, err := p.livingGroups()
		if err != nil {
			return err
		}
		unused := indices[:0]
		for _, index := range indices {
			if !p.inUse(index, living) {
				unused = append(unused, index)
			}
		}
		if indices = unused; len(indices) == 0 {
			return nil
		}
	}
	for _, index := range indices {
		atomic.StoreUint32(&p.tables.groups[index].Number, nextNumber(p.groups[index].group.ID))
	}
	atomic.AddUint32(&p.shares.Epoch, 1)
	if err := p.grace.wait(); err != nil {
		return err
	}
	if err := p.look(0); err != nil {
		return err
	}
	if err := p.freeSlots(p.slotsOf(indices), true); err != nil {
		return err
	}
	for _, index := range indices {
		if err := p.freeGroup(index); err != nil {
			return err
		}
	}
	atomic.AddUint32(&p.shares.Epoch, 1) // those without a group may find one now
	return p.freeOwners()
}

// detach keeps new processes from finding a group.
func (p *places) detach(index uint32) error {
	g := &p.groups[index]
	if g.detached {
		return nil
	}
	if err := p.maps[bpf.GetsockoptMapGroups].Delete(g.key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete a group: %w", err)
	}
	g.detached = true
	return nil
}

// inUse reports whether a group has slots, calls since they were taken, or a process.
func (p *places) inUse(index uint32, living map[uint32]bool) bool {
	if atomic.LoadUint32(&p.tables.groups[index].Slots) != 0 || living[p.groups[index].group.ID] {
		return true
	}
	for i := range uint32(overflowSlots) {
		if p.hasCalls(overflowSlots*index + i) {
			return true
		}
	}
	return false
}

// slotsOf returns the slots of groups.
func (p *places) slotsOf(indices []uint32) (ids []uint32) {
	of := make(map[uint32]bool, len(indices))
	for _, index := range indices {
		of[p.groups[index].group.ID] = true
	}
	for id := p.firstSlot(); id < p.slotsEnd; id++ {
		if s := &p.slots[id]; s.used && of[s.key.Group] {
			ids = append(ids, uint32(id))
		}
	}
	return ids
}

// freeGroup gives the place of a group to the next one.
func (p *places) freeGroup(index uint32) error {
	g, state := &p.groups[index], &p.tables.groups[index]
	if g.sent {
		p.evictedGroups[g.group.ID] = true
		p.gone[g.group.ID] = g.group
	}
	for i := range uint32(overflowSlots) {
		id := overflowSlots*index + i
		p.takeToWait(id, record.SeriesKey{Group: g.group.ID, Pending: i == 1}, true)
		p.takeSampling(id)
		p.dropSampling(id)
		p.resetOverflow(id)
	}
	number := g.group.ID
	*g = groupInfo{}
	p.waitWithoutGroup(number)
	p.known--
	p.samplingGroups[index] = sampling.Group{}
	p.ownerOf[index] = 0
	atomic.AddUint32(&p.owners[state.Owner].Groups, ^uint32(0))
	next := state.Number
	*state = bpf.GetsockoptGroupState{Number: next}
	atomic.AddInt64(&p.shares.FreeGroups, 1)
	if err := p.maps[bpf.GetsockoptMapFreeGroups].Put(nil, next); err != nil {
		return fmt.Errorf("return a group to the freelist: %w", err)
	}
	return nil
}

// freeOwners frees the owners that have no groups. As with groups, none finds them first. One
// that got a group meanwhile returns to the index, unless its cgroup has another by now, with
// which it would have two shares.
func (p *places) freeOwners() error {
	keys, indices, err := readAll[uint64, uint32](p.maps[bpf.GetsockoptMapOwners])
	if err != nil {
		return fmt.Errorf("read the owners: %w", err)
	}
	for i, index := range indices {
		if atomic.LoadUint32(&p.owners[index].Groups) != 0 {
			continue
		}
		if err := p.maps[bpf.GetsockoptMapOwners].Delete(keys[i]); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("delete an owner: %w", err)
		}
		p.detached[index] = keys[i]
	}
	if len(p.detached) == 0 {
		return nil
	}
	if err := p.grace.wait(); err != nil {
		return err
	}
	for index, key := range p.detached {
		if atomic.LoadUint32(&p.owners[index].Groups) != 0 {
			err := p.maps[bpf.GetsockoptMapOwners].Update(key, index, ebpf.UpdateNoExist)
			if err == nil {
				delete(p.detached, index)
			} else if !errors.Is(err, ebpf.ErrKeyExist) {
				return fmt.Errorf("return an owner to the index: %w", err)
			}
			continue
		}
		delete(p.detached, index)
		p.owners[index] = bpf.GetsockoptOwnerState{}
		p.samplingOwners[index] = sampling.Owner{}
		if err := p.maps[bpf.GetsockoptMapFreeOwners].Put(nil, index); err != nil {
			return fmt.Errorf("return an owner to the freelist: %w", err)
		}
	}
	return nil
}
