// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// counterSlots, firstBucket and groupIndexBits are COUNTER_SLOTS, HISTOGRAM_FIRST and
// GROUP_INDEX_BITS of bpf/records.h.
const (
	counterSlots   = 64
	firstBucket    = 24
	groupIndexBits = 16
)

// bucketSlot returns the slot of a bucket in a series.
func bucketSlot(bucket int) int {
	return (bucket + histogram.Buckets - firstBucket) % histogram.Buckets
}

// bucketAt is the inverse of bucketSlot.
func bucketAt(slot int) int { return (slot + firstBucket) % histogram.Buckets }

// Snapshot takes the calls that the BPF programs have counted since the previous snapshot,
// and reads the counters. Calls continue meanwhile: each number is consistent, and counters
// never decrease, but numbers are not of the same instant. The calls of a snapshot that
// fails are in the next one. After Close it returns an error that wraps os.ErrClosed.
func (p *Probe) Snapshot() (record.Snapshot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return record.Snapshot{}, fmt.Errorf("read the series: %w", os.ErrClosed)
	}
	s := record.Snapshot{
		RingBytes: p.events.bytes(), RingSize: p.options.RingBytes,
		SeriesLimit: p.options.SeriesLimit, GroupLimit: p.options.GroupLimit,
	}
	if err := p.places.look(0); err != nil {
		return record.Snapshot{}, err
	}
	// Processes that have ended are forgotten with each snapshot.
	if _, err := p.places.livingGroups(); err != nil {
		return record.Snapshot{}, err
	}
	var err error
	if s.EndedGroups, err = p.places.endedGroups(); err != nil {
		return record.Snapshot{}, err
	}
	p.places.takeAll()
	// Counters after the series, so that Seen is not less than the calls in series.
	if s.Counters, err = p.readCounters(); err != nil {
		return record.Snapshot{}, err
	}
	if s.Counters.MissedRuns, err = p.readMissedRuns(); err != nil {
		return record.Snapshot{}, err
	}
	p.places.deliver(&s)
	return s, nil
}

// takeAll takes the calls of all slots to those that wait.
func (p *places) takeAll() {
	for id := range uint32(overflowSlots * p.groupsEnd) {
		p.takeCalls(id)
	}
	for id := p.firstSlot(); id < p.slotsEnd; id++ {
		p.takeCalls(uint32(id))
	}
}

// takeCalls takes the calls of a slot to those that wait. A new slot is left to the next
// time, and one of a group that the kernel has not counted yet.
func (p *places) takeCalls(id uint32) {
	s, index := &p.slots[id], p.groupOf(id)
	g := &p.groups[index]
	if index != record.GroupOverflow && !g.known {
		return
	}
	overflow := int(id) < p.firstSlot()
	key := s.key
	if overflow {
		key = record.SeriesKey{Group: g.group.ID, Pending: id%overflowSlots == 1}
	} else if !s.used || g.group.ID != key.Group {
		return
	}
	g.sent = true
	if p.takeToWait(id, key, overflow) {
		s.sent = true
	}
}

// deliver moves what waits into a snapshot.
func (p *places) deliver(s *record.Snapshot) {
	s.Series = make([]record.Series, 0, len(p.waiting))
	for _, series := range p.waiting {
		s.Series = append(s.Series, *series)
	}
	for id := p.firstSlot(); id < p.slotsEnd && len(p.evicted) > 0; id++ {
		if slot := &p.slots[id]; slot.used {
			delete(p.evicted, slot.key) // it has a slot again
		}
	}
	s.Evicted = slices.Collect(maps.Keys(p.evicted))
	s.EvictedGroups = slices.Collect(maps.Keys(p.evictedGroups))
	s.Groups = p.gone
	for i := range p.groupsEnd {
		if g := &p.groups[i]; g.known {
			s.Groups[g.group.ID] = g.group
		}
	}
	s.SeriesEntries, s.GroupEntries = p.used, p.known
	p.startWaiting()
}

// readSeen returns the number of all calls.
func (p *Probe) readSeen() (seen uint64, err error) {
	var counters [counterSlots]bpf.GetsockoptCallCounters
	if err := p.collection.Variables[bpf.GetsockoptVarCounters].Get(&counters); err != nil {
		return 0, fmt.Errorf("read the counters: %w", err)
	}
	for i := range counters {
		seen += counters[i].Seen
	}
	return seen, nil
}

// readCounters sums the slots of the CPUs. Seen is from a second, later reading: the
// programs count a call as seen before they count it as anything else.
func (p *Probe) readCounters() (record.Counters, error) {
	var outcomes, later [counterSlots]bpf.GetsockoptCallCounters
	variable := p.collection.Variables[bpf.GetsockoptVarCounters]
	if err := variable.Get(&outcomes); err != nil {
		return record.Counters{}, fmt.Errorf("read the counters: %w", err)
	}
	if err := variable.Get(&later); err != nil {
		return record.Counters{}, fmt.Errorf("read the counters: %w", err)
	}
	var c record.Counters
	for i := range outcomes {
		o := &outcomes[i]
		c.Seen += later[i].Seen
		c.Filtered += o.Filtered
		c.NoEntry += o.NoEntry
		c.NoExit += o.NoExit
		c.NoStorage += o.NoStorage
		c.NoCompletion += o.NoCompletion
		c.Seccomp += o.Seccomp
		c.Submitted += o.Submitted
		c.RingFull += o.RingFull
		c.ProcessLost += o.ProcessLost
		c.ValueReadErrors += o.ValueReadErrors
		c.LengthReadErrors += o.LengthReadErrors
		c.SeriesOverflow += o.SeriesOverflow
		c.GroupOverflow += o.GroupOverflow
	}
	c.Kept, c.SampledOut = p.places.kept, p.places.sampledOut
	var identities bpf.GetsockoptIdentityCounters
	if err := p.collection.Variables[bpf.GetsockoptVarIdentities].Get(&identities); err != nil {
		return record.Counters{}, fmt.Errorf("read the counters of processes: %w", err)
	}
	c.EnvironmentOverwritten = identities.EnvironmentOverwritten
	c.VariableCut = identities.VariableCut
	c.PathCut = identities.PathCut
	c.CgroupCut = identities.CgroupCut
	var unread bpf.GetsockoptParentCounters
	if err := p.collection.Variables[bpf.GetsockoptVarParentsUnread].Get(&unread); err != nil {
		return record.Counters{}, fmt.Errorf("read the counters of parents: %w", err)
	}
	c.ParentUnreadable = unread.Unreadable
	c.ParentMalformed = unread.Malformed
	c.ParentDeferred = unread.Deferred
	return c, p.readContextCounters(&c)
}

// readMissedRuns returns the recursion misses of all programs. Kernels before 5.12 do not
// report them: the number is then 0.
func (p *Probe) readMissedRuns() (uint64, error) {
	var missed uint64
	for _, loaded := range []programs{p.collection.Programs, p.ioUring, p.contexts} {
		for name, program := range loaded {
			stats, err := program.Stats()
			if err != nil {
				return 0, fmt.Errorf("read the recursion misses of program %s: %w", name, err)
			}
			missed += stats.RecursionMisses
		}
	}
	return missed, nil
}
