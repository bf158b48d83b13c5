// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// retiredGroups is where the numbers of groups begin that live in user space
// alone; the kernel's stay far below.
const retiredGroups = 1 << 31

// retirement takes over for processes that have gone, when calls are grouped
// by process: their series are read a last time, added to their service's, and
// deleted, so that the tables serve those that run. Totals only grow.
type retirement struct {
	groups  map[service]uint32
	series  map[record.SeriesKey]record.Series // of groups numbered from retiredGroups
	limit   int                                // of series; past it they fold into one
	nextID  uint32                             // for the kernel's next new group
	running func(*bpf.GetsockoptGroupKey) (bool, error)
}

// service is what is left of a group without its process, which stays only
// where user space has yet to name the service.
type service struct {
	origin          record.GroupOrigin
	name, namespace string
	unread          record.ProcessKey
}

func newRetirement(o *Options, groupRuns *ebpf.Program) *retirement {
	return &retirement{
		groups:  make(map[service]uint32),
		series:  make(map[record.SeriesKey]record.Series),
		limit:   o.SeriesLimit,
		nextID:  uint32(o.GroupLimit) + 1,
		running: func(key *bpf.GetsockoptGroupKey) (bool, error) { return groupStillRuns(groupRuns, key) },
	}
}

// groupStillRuns asks the kernel whether the process of a group may still call. Unlike
// /proc it knows every process, whatever namespaces the receiver is in and
// whatever is mounted there.
func groupStillRuns(groupRuns *ebpf.Program, key *bpf.GetsockoptGroupKey) (bool, error) {
	context := binary.NativeEndian.AppendUint64(nil, key.PidStruct)
	context = binary.NativeEndian.AppendUint64(context, key.Process.Start)
	answer, err := groupRuns.Run(&ebpf.RunOptions{Context: context})
	if err != nil {
		return false, fmt.Errorf("look whether process %d still runs, for group_by: process: %w", key.Process.Pid, err)
	}
	return answer != 0, nil
}

// retire ends the groups whose process has gone. A process that has gone makes
// no more calls, and no thread remembers its slots.
func (p *Probe) retire(series []record.Series) ([]record.Series, error) {
	gone := make(map[uint32]bool)
	for id, g := range p.groups {
		if g.Origin&record.OfProcess == 0 {
			continue
		}
		key := p.groupKeys[id]
		running, err := p.retired.running(&key)
		if err != nil {
			return nil, err
		}
		if !running {
			gone[id] = true
		}
	}
	if len(gone) == 0 {
		return series, nil
	}
	// Read again: what is known of them may be older than their last call.
	all, slots, err := p.readSeries()
	if err != nil {
		return nil, err
	}
	// What was counted for the first time since has groups to be read as well.
	if err := p.readGroups(all); err != nil {
		return nil, err
	}
	var kept []record.Series
	for i, s := range all {
		if s.Overflow || !gone[s.Group] {
			kept = append(kept, s)
			continue
		}
		if err := p.freeSlot(slots[i], s.SeriesKey); err != nil {
			return nil, err
		}
		p.retired.add(p.groups[s.Group], s)
	}
	for id := range gone {
		if err := p.freeGroup(id); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// freeSlot gives a series' slot back. The index goes first, so that nothing
// new finds the slot.
func (p *Probe) freeSlot(slot uint32, key record.SeriesKey) error {
	k := bpf.GetsockoptSeriesKey{
		Group: key.Group, Level: key.Level, Option: key.Option, Error: key.Error,
		Entry: uint8(key.Entry), Pending: boolByte(key.Pending),
	}
	if err := p.collection.Maps[bpf.GetsockoptMapSeriesIndex].Delete(&k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("forget a series: %w", err)
	}
	var empty bpf.GetsockoptSeriesSlot
	zeros := make([]byte, unsafe.Sizeof(empty))
	if _, err := p.series.WriteAt(zeros, int64(slot)*int64(len(zeros))); err != nil {
		return fmt.Errorf("clear a series: %w", err)
	}
	if err := p.collection.Maps[bpf.GetsockoptMapFreeSlots].Put(nil, slot); err != nil {
		return fmt.Errorf("give back the place of a series: %w", err)
	}
	return nil
}

// freeGroup gives a group's place back, under a number that was never used: an
// io_uring request that outlives its process must not count for another one.
func (p *Probe) freeGroup(id uint32) error {
	key := p.groupKeys[id]
	if err := p.collection.Maps[bpf.GetsockoptMapGroups].Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("forget a group: %w", err)
	}
	if err := p.collection.Maps[bpf.GetsockoptMapFreeGroups].Put(nil, p.retired.nextID); err != nil {
		return fmt.Errorf("give back the place of a group: %w", err)
	}
	p.retired.nextID++
	delete(p.groups, id)
	delete(p.groupKeys, id)
	return nil
}

// add counts a series of a process that has gone for its service.
func (r *retirement) add(g record.Group, s record.Series) {
	of := service{origin: g.Origin &^ record.OfProcess, name: g.Name, namespace: g.Namespace}
	if g.Origin&record.Unread != 0 {
		of.unread = g.Process
	}
	id, known := r.groups[of]
	if !known && len(r.groups) >= r.limit {
		of.origin, of.unread = of.origin&^record.Unread, record.ProcessKey{}
		id, known = r.groups[of]
	}
	if !known {
		id = retiredGroups + uint32(len(r.groups))
		r.groups[of] = id
	}
	key := s.SeriesKey
	key.Group = id
	total, known := r.series[key]
	if !known && len(r.series) >= r.limit {
		key = record.SeriesKey{Group: record.GroupOverflow, Pending: s.Pending}
		total, known = r.series[key]
	}
	if !known {
		total = record.Series{SeriesKey: key, Overflow: key.Group == record.GroupOverflow, Buckets: make([]uint64, histogram.Buckets)}
	}
	total.Sum += s.Sum
	for i, n := range s.Buckets {
		total.Buckets[i] += n
	}
	r.series[key] = total
}

// describe adds the groups of those series.
func (r *retirement) describe(groups map[uint32]record.Group) {
	for of, id := range r.groups {
		groups[id] = record.Group{ID: id, Origin: of.origin, Name: of.name, Namespace: of.namespace, Process: of.unread}
	}
}

// join adds the series of processes that have gone.
func (r *retirement) join(series []record.Series) []record.Series {
	for _, s := range r.series {
		s.Buckets = append([]uint64(nil), s.Buckets...)
		series = append(series, s)
	}
	return series
}
