// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sampling"
)

// readEach passes the elements of a hash table to read, which must not keep them.
func readEach[K, V any](m *ebpf.Map, read func(*K, *V)) error {
	const most = 128
	var cursor ebpf.MapBatchCursor
	keys, values := make([]K, most), make([]V, most)
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		for i := range n {
			read(&keys[i], &values[i])
		}
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist): // the end
			return nil
		case err != nil:
			return err
		}
	}
}

// readAll returns the elements of a hash table.
func readAll[K, V any](m *ebpf.Map) (keys []K, values []V, err error) {
	err = readEach(m, func(k *K, v *V) { keys, values = append(keys, *k), append(values, *v) })
	return keys, values, err
}

// findGroups reads the kernel's groups if there are new ones.
func (p *places) findGroups() error {
	limit := len(p.groups) - 1
	if p.known == limit-int(atomic.LoadInt64(&p.shares.FreeGroups)) {
		return nil
	}
	err := readEach(p.maps[bpf.GetsockoptMapGroups], func(key *bpf.GetsockoptGroupKey, value *bpf.GetsockoptGroupValue) {
		index := groupIndex(value.Group)
		g := &p.groups[index]
		if g.known {
			return
		}
		kept := *key
		*g = groupInfo{key: &kept, group: decodeGroup(key, value), known: true}
		p.clocks.key(&g.group.Process)
		p.known++
		p.ownerOf[index] = p.tables.groups[index].Owner
		p.samplingGroups[index] = sampling.Group{Owner: p.ownerOf[index]}
		p.groupsEnd, p.ownersEnd = max(p.groupsEnd, int(index)+1), max(p.ownersEnd, int(p.ownerOf[index])+1)
	})
	if err != nil {
		return fmt.Errorf("read the groups: %w", err)
	}
	return nil
}

// Group returns a group, unless its place was given to another.
func (p *Probe) Group(id uint32) (record.Group, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	index := int(groupIndex(id))
	if p.closed || index == record.GroupOverflow || index >= len(p.places.groups) {
		return record.Group{}, false
	}
	g := &p.places.groups[index]
	if !g.known { // nobody has looked since the kernel made it
		if err := p.places.findGroups(); err != nil {
			return record.Group{}, false
		}
	}
	return g.group, g.known && g.group.ID == id
}

func decodeGroup(key *bpf.GetsockoptGroupKey, value *bpf.GetsockoptGroupValue) record.Group {
	return record.Group{
		ID:          value.Group,
		Origin:      record.Origin(key.Flags),
		Process:     record.ProcessKey{Start: key.Process.Start, PID: key.Process.Pid, ExecID: key.Process.ExecId},
		Name:        text(key.Name[:]),
		Namespace:   text(key.NameSpace[:]),
		ContainerID: text(value.Location.Container[:]),
		PodUID:      text(value.Location.Pod[:]),
		SystemdUnit: text(value.Location.Unit[:]),
		InstanceID:  text(value.Location.Instance[:]),
	}
}

// text returns the bytes of a C string, which may fill its array.
func text(b []int8) string {
	out := make([]byte, len(b))
	for i, c := range b {
		out[i] = byte(c)
	}
	return unix.ByteSliceToString(out)
}

// livingGroups returns the groups of processes that may still make calls. It removes those
// that have ended from the kernel's table, which keeps the others: an evicted process is
// identified again, and its environment may have been overwritten by then.
func (p *places) livingGroups() (map[uint32]bool, error) {
	pids, entries, err := readAll[uint32, bpf.GetsockoptProcessEntry](p.maps[bpf.GetsockoptMapProcesses])
	if err != nil {
		return nil, fmt.Errorf("read the processes: %w", err)
	}
	checks := make([]bpf.GetsockoptProcessCheck, len(pids))
	for i, e := range entries {
		checks[i] = bpf.GetsockoptProcessCheck{Pid: pids[i], PidStruct: e.PidStruct, Start: e.Start}
	}
	if err := p.check(checks); err != nil {
		return nil, err
	}
	living := make(map[uint32]bool)
	for i, e := range entries {
		if checks[i].Ended == 0 {
			living[e.Group] = true
		}
	}
	return living, nil
}

// endedGroups returns the groups of processes that have ended.
func (p *places) endedGroups() (ended []uint32, err error) {
	var ids []uint32
	var checks []bpf.GetsockoptProcessCheck
	for i := range p.groupsEnd {
		if g := &p.groups[i]; g.known && g.group.Origin&record.OriginProcess != 0 {
			ids = append(ids, g.group.ID)
			checks = append(checks, bpf.GetsockoptProcessCheck{PidStruct: g.key.PidStruct, Start: g.key.Process.Start})
		}
	}
	if err := p.check(checks); err != nil {
		return nil, err
	}
	for i, c := range checks {
		if c.Ended != 0 {
			ended = append(ended, ids[i])
		}
	}
	return ended, nil
}

// check asks the kernel which processes have ended. Unlike /proc it finds every process,
// whatever namespaces the receiver is in and whatever is mounted there.
func (p *places) check(processes []bpf.GetsockoptProcessCheck) error {
	for len(processes) > 0 {
		n := copy(p.checks, processes)
		context := binary.NativeEndian.AppendUint64(nil, uint64(n))
		if _, err := p.programs[bpf.GetsockoptProgCheckProcesses].Run(&ebpf.RunOptions{Context: context}); err != nil {
			return fmt.Errorf("check which processes have ended: %w", err)
		}
		copy(processes, p.checks[:n])
		processes = processes[n:]
	}
	return nil
}
