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

// retiredGroups is the first number of the groups that exist in user space alone; those
// of the kernel's table stay far below.
const retiredGroups = 1 << 31

// retirement keeps the series of processes that have exited, when calls are grouped by
// process: they are read a last time, added to the series of their service, and deleted
// from the kernel's tables, so that these have space for running processes. Totals only
// grow.
type retirement struct {
	groups  map[service]uint32
	series  map[record.SeriesKey]record.Series // of groups numbered from retiredGroups
	limit   int                                // of series, and of groups; beyond it series are added to one
	nextID  uint32                             // for the kernel's next new group
	running func(*bpf.GetsockoptGroupKey) (bool, error)
}

// service is a group without its number and its process, which it has only if user space
// must still read the process's environment to name the service.
type service record.Group

func newRetirement(o *Options, groupRuns *ebpf.Program) *retirement {
	return &retirement{
		groups:  make(map[service]uint32),
		series:  make(map[record.SeriesKey]record.Series),
		limit:   o.SeriesLimit,
		nextID:  uint32(o.GroupLimit) + 1,
		running: func(key *bpf.GetsockoptGroupKey) (bool, error) { return groupStillRuns(groupRuns, key) },
	}
}

// groupStillRuns reports whether the process of a group still runs, by running a BPF
// program. Unlike /proc it finds every process, whatever namespaces the receiver is in
// and whatever is mounted there.
func groupStillRuns(groupRuns *ebpf.Program, key *bpf.GetsockoptGroupKey) (bool, error) {
	context := binary.NativeEndian.AppendUint64(nil, key.PidStruct)
	context = binary.NativeEndian.AppendUint64(context, key.Process.Start)
	runs, err := groupRuns.Run(&ebpf.RunOptions{Context: context})
	if err != nil {
		return false, fmt.Errorf("check whether process %d still runs, for group_by: process: %w", key.Process.Pid, err)
	}
	return runs != 0, nil
}

// retire removes the groups whose process has exited from the kernel's tables, and
// returns the series of the others. A process that has exited makes no more calls, and no
// thread has cached its slots.
func (p *Probe) retire(series []record.Series) ([]record.Series, error) {
	exited := make(map[uint32]bool)
	for id, g := range p.groups {
		if g.Origin&record.OriginProcess == 0 {
			continue
		}
		key := p.groupKeys[id]
		running, err := p.retired.running(&key)
		if err != nil {
			return nil, err
		}
		if !running {
			exited[id] = true
		}
	}
	if len(exited) == 0 {
		return series, nil
	}
	// Read again: the series may be older than the last calls of these processes.
	all, slots, err := p.readSeries()
	if err != nil {
		return nil, err
	}
	// New series may have new groups.
	if err := p.readGroups(all); err != nil {
		return nil, err
	}
	var kept []record.Series
	for i, s := range all {
		if s.Overflow || !exited[s.Group] {
			kept = append(kept, s)
			continue
		}
		if err := p.freeSlot(slots[i], s.SeriesKey); err != nil {
			return nil, err
		}
		p.retired.add(p.groups[s.Group], s)
	}
	for id := range exited {
		if err := p.freeGroup(id); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// freeSlot returns the slot of a series to the freelist. The index is deleted first, so
// that no new call finds the slot.
func (p *Probe) freeSlot(slot uint32, key record.SeriesKey) error {
	k := bpf.GetsockoptSeriesKey{
		Group: key.Group, Level: key.Level, Option: key.Option, Error: key.Error,
		Entry: uint8(key.Entry), Pending: boolByte(key.Pending),
	}
	if err := p.collection.Maps[bpf.GetsockoptMapSeriesIndex].Delete(&k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete a series from the index: %w", err)
	}
	var empty bpf.GetsockoptSeriesSlot
	zeros := make([]byte, unsafe.Sizeof(empty))
	if _, err := p.series.WriteAt(zeros, int64(slot)*int64(len(zeros))); err != nil {
		return fmt.Errorf("clear the slot of a series: %w", err)
	}
	if err := p.collection.Maps[bpf.GetsockoptMapFreeSlots].Put(nil, slot); err != nil {
		return fmt.Errorf("return the slot of a series to the freelist: %w", err)
	}
	return nil
}

// freeGroup deletes a group, and adds a number to the freelist that was never used: an
// io_uring request that outlives its process must not count for another process.
func (p *Probe) freeGroup(id uint32) error {
	key := p.groupKeys[id]
	if err := p.collection.Maps[bpf.GetsockoptMapGroups].Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete a group: %w", err)
	}
	if err := p.collection.Maps[bpf.GetsockoptMapFreeGroups].Put(nil, p.retired.nextID); err != nil {
		return fmt.Errorf("return a group number to the freelist: %w", err)
	}
	p.retired.nextID++
	delete(p.groups, id)
	delete(p.groupKeys, id)
	return nil
}

// add adds a series of a process that has exited to the series of its service.
func (r *retirement) add(g record.Group, s record.Series) {
	of := service(g)
	of.ID, of.Origin = 0, g.Origin&^record.OriginProcess
	if g.Origin&record.OriginEnvironmentUnavailable == 0 {
		of.Process = record.ProcessKey{}
	}
	id, known := r.groups[of]
	if !known && len(r.groups) >= r.limit {
		of.Origin, of.Process = of.Origin&^record.OriginEnvironmentUnavailable, record.ProcessKey{}
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

// describe adds the groups of the retired series to groups.
func (r *retirement) describe(groups map[uint32]record.Group) {
	for of, id := range r.groups {
		of.ID = id
		groups[id] = record.Group(of)
	}
}

// join returns series together with copies of the retired series.
func (r *retirement) join(series []record.Series) []record.Series {
	for _, s := range r.series {
		s.Buckets = append([]uint64(nil), s.Buckets...)
		series = append(series, s)
	}
	return series
}
