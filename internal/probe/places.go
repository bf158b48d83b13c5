// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sampling"
	"github.com/getsockopt/getsockoptreceiver/internal/shares"
)

// places are the slots of series and the groups of the kernel's tables, and what user
// space knows of them. The kernel takes what is free; user space alone frees. It is not
// safe for concurrent use.
type places struct {
	*tables
	maps     map[string]*ebpf.Map
	programs map[string]*ebpf.Program
	grace    *grace
	clocks   *clocks
	sampled  samplingOptions
	hashSeed uint64 // hash_seed of the programs

	slots  []slotInfo
	groups []groupInfo // by index
	used   int         // slots of series
	known  int         // groups
	// Those after the ends are not in use.
	slotsEnd, groupsEnd, ownersEnd int
	// detached are the keys of owners, by their indices, that are not in the kernel's index
	// any more.
	detached map[uint32]uint64

	// remembered is for how long no process that has ended was forgotten, unlooked for how
	// long nothing has looked at the counts, which is to be done after lookAfter, unsampled
	// since when thresholds were not adjusted.
	remembered, unlooked, lookAfter, unsampled time.Duration

	// What waits for the next snapshot: the calls of slots that were freed, the series and
	// groups that metrics know and that lost their place, and the groups of either.
	waiting       map[waitingKey]*record.Series
	evicted       map[record.SeriesKey]bool
	evictedGroups map[uint32]bool
	gone          map[uint32]record.Group
	buckets       [histogram.Buckets]uint64 // of the slot whose calls are taken, otherwise empty

	// For the shares of series, groups and spans; see control.go and sampling.go.
	seriesShares, groupShares shares.Reclaimer
	seriesPlaces, groupPlaces []shares.Place
	placeIDs                  []uint32          // of either
	ownerOf                   []uint32          // of groups, by index
	samplers                  []sampling.Series // of what has been sampled
	samplerSlots              []samplerSlot     // where each of them is
	samplingGroups            []sampling.Group
	samplingOwners            []sampling.Owner
	kept, sampledOut          uint64 // calls since the start
}

// occupant is a series or a group that has a place.
type occupant struct {
	sent    bool   // it was in a snapshot
	divided bool   // it was there when places were divided
	idle    uint32 // milliseconds without a call
}

// slotInfo is a slot of a series; that of an overflow has no key.
type slotInfo struct {
	occupant
	key  record.SeriesKey
	used bool
	// counted changes with each call: the sum of its numbers at the last look.
	counted uint64
	// samplers are the indices of its two samplers, and one more; 0: nothing was sampled.
	samplers [2]uint32
}

// groupInfo is a group of the kernel's table.
type groupInfo struct {
	occupant
	key      *bpf.GetsockoptGroupKey // nil unless known: it is most of the size
	group    record.Group
	known    bool
	detached bool // the kernel does not find it by its key any more
}

type waitingKey struct {
	record.SeriesKey
	overflow bool
}

// noKey is every word of the key of a slot that has none.
const noKey = math.MaxUint64

// maxIdle keeps idle times below what the groups of ended processes get in addition.
const maxIdle = 1 << 30

// openPlaces makes the tables ready for the first call. start are the first settings.
func openPlaces(o *Options, c *ebpf.Collection, clocks *clocks, start sampling.Defaults) (*places, error) {
	t, err := openTables(c.Maps)
	if err != nil {
		return nil, err
	}
	g, err := newGrace()
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	p := &places{
		tables: t, maps: c.Maps, programs: c.Programs, grace: g, clocks: clocks, sampled: samplingOf(o),
		slots: make([]slotInfo, len(t.series)), groups: make([]groupInfo, len(t.groups)),
		lookAfter:      lookPeriod,
		detached:       make(map[uint32]uint64),
		ownerOf:        make([]uint32, len(t.groups)),
		samplingGroups: make([]sampling.Group, len(t.groups)),
		samplingOwners: make([]sampling.Owner, len(t.owners)),
	}
	if err := c.Variables[bpf.GetsockoptVarHashSeed].Get(&p.hashSeed); err != nil {
		return nil, errors.Join(fmt.Errorf("read the seed of hashes: %w", err), p.close())
	}
	p.slotsEnd, p.groupsEnd, p.ownersEnd = p.firstSlot(), 1, 1
	p.startWaiting()
	s := p.shares
	s.FreeSlots, s.FreeGroups = int64(p.limit()), int64(len(p.groups)-1)
	s.SlotsOfOwner, s.GroupsOfOwner = math.MaxUint32, math.MaxUint32
	p.applyDefaults(start)
	apply(&p.owners[0].Unsettled, start.Owner)
	p.owners[0].SlotsOfGroup = math.MaxUint32
	for i := range p.tables.groups {
		p.tables.groups[i].Number = uint32(i)
	}
	for i := range p.series {
		p.clearKey(uint32(i))
		if i < p.firstSlot() {
			p.resetOverflow(uint32(i))
		}
	}
	return p, nil
}

// firstSlot is the first slot of a series; those before are of the overflows.
func (p *places) firstSlot() int { return overflowSlots * len(p.groups) }

// limit is how many series the table can hold.
func (p *places) limit() int { return len(p.slots) - p.firstSlot() }

func (p *places) close() error { return errors.Join(p.tables.close(), p.grace.close()) }

func (p *places) startWaiting() {
	p.waiting = make(map[waitingKey]*record.Series)
	p.evicted = make(map[record.SeriesKey]bool)
	p.evictedGroups = make(map[uint32]bool)
	p.gone = make(map[uint32]record.Group)
}

// look finds what the kernel has put into slots, and takes the counts of sampling.
func (p *places) look(elapsed time.Duration) error {
	idle := uint32(min(elapsed.Milliseconds(), maxIdle-1))
	for i := range p.groupsEnd {
		if g := &p.groups[i]; g.known {
			g.idle = min(g.idle+idle, maxIdle-1)
		}
	}
	p.findSeries()
	// Groups after series: the group of a series is in the table before the series.
	if err := p.findGroups(); err != nil {
		return err
	}
	for id := range p.slotsInUse() {
		p.lookAt(id, idle)
	}
	return nil
}

// slotsInUse are the slots of series and of the groups' overflows.
func (p *places) slotsInUse() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for id := p.firstSlot(); id < p.slotsEnd; id++ {
			if p.slots[id].used && !yield(uint32(id)) {
				return
			}
		}
		for index := range p.groupsEnd {
			if index != record.GroupOverflow && !p.groups[index].known {
				continue
			}
			for i := range overflowSlots {
				if !yield(uint32(overflowSlots*index + i)) {
					return
				}
			}
		}
	}
}

// findSeries finds the slots that the kernel has given to series.
func (p *places) findSeries() {
	taken := p.limit() - int(atomic.LoadInt64(&p.shares.FreeSlots))
	for i := p.firstSlot(); i < len(p.slots) && p.used < taken; i++ {
		s := &p.slots[i]
		if s.used {
			continue
		}
		key, complete := p.readKey(uint32(i))
		if !complete {
			continue
		}
		*s = slotInfo{key: key, used: true}
		p.used++
		p.slotsEnd = max(p.slotsEnd, i+1)
		p.groupsEnd = max(p.groupsEnd, int(groupIndex(key.Group))+1)
	}
}

// scarce reports whether so few slots or groups are free that the reserve for newcomers may
// soon be needed.
func (p *places) scarce() bool {
	few := func(free int64, limit int) bool { return free < int64(shares.Reserve(limit)*3/2) }
	return few(atomic.LoadInt64(&p.shares.FreeSlots), p.limit()) || few(atomic.LoadInt64(&p.shares.FreeGroups), len(p.groups)-1)
}

func (p *places) lookAt(id, idle uint32) {
	s := &p.slots[id]
	counted, filling := p.counted(id)
	if counted != s.counted {
		s.counted, s.idle = counted, 0
		p.groups[p.groupOf(id)].idle = 0
	} else {
		s.idle = min(s.idle+idle, maxIdle-1)
	}
	if filling {
		p.takeCalls(id)
	}
	p.takeSampling(id)
}

// groupIndex is GROUP_INDEX of bpf/records.h.
func groupIndex(group uint32) uint32 { return group & (1<<groupIndexBits - 1) }

// nextNumber is the number of the next group in a place.
func nextNumber(group uint32) uint32 { return group + 1<<groupIndexBits }
