// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// kernel does what the probe and its programs do: it counts calls in slots, of which it has
// few, takes slots and groups back at any time, and removes what metrics no longer need.
type kernel struct {
	random *rand.Rand
	limit  int // of slots
	slots  map[record.SeriesKey]*record.Series
	groups map[uint32]*fakeGroup
	nextID uint32

	// Since the previous snapshot.
	lost          map[record.SeriesKey]*record.Series // of slots that are gone
	overflow      map[record.SeriesKey]*record.Series // of each group, and of GroupOverflow; of the key only Group and Pending
	evicted       map[record.SeriesKey]bool
	evictedGroups map[uint32]record.Group

	made totals // by all calls
}

type fakeGroup struct {
	record.Group
	runs, ended bool // its process, which keeps it
}

func newKernel(random *rand.Rand, limit int) *kernel {
	k := &kernel{random: random, limit: limit, slots: map[record.SeriesKey]*record.Series{}, groups: map[uint32]*fakeGroup{}}
	k.clear()
	return k
}

func (k *kernel) clear() {
	k.lost, k.overflow = map[record.SeriesKey]*record.Series{}, map[record.SeriesKey]*record.Series{}
	k.evicted, k.evictedGroups = map[record.SeriesKey]bool{}, map[uint32]record.Group{}
}

// start makes a group of a service, of which there may be several: the encodings differ.
func (k *kernel) start(service string, process bool) uint32 {
	k.nextID++
	g := group(k.nextID, []record.Origin{record.OriginServiceName, record.OriginExecutable}[k.random.IntN(2)], service, "")
	if process {
		g.Origin |= record.OriginProcess
		g.Process = record.ProcessKey{PID: k.nextID, Start: 1}
	}
	k.groups[g.ID] = &fakeGroup{Group: g, runs: true}
	return g.ID
}

// call makes a call of a group, or of one that is not there.
func (k *kernel) call(id uint32) {
	key := record.SeriesKey{Group: id, Level: unix.SOL_SOCKET, Entry: record.Entry(k.random.IntN(2))}
	key.Option = []int32{unix.SO_ERROR, unix.SO_RCVTIMEO_OLD, unix.SO_RCVTIMEO_NEW, unix.SO_TYPE}[k.random.IntN(4)]
	key.Error = []uint16{0, 0, uint16(unix.ENOPROTOOPT), uint16(unix.ECONNREFUSED)}[k.random.IntN(4)]
	key.Pending = key.Error == uint16(unix.ECONNREFUSED)
	into := k.slots[key]
	switch {
	case k.groups[id] == nil:
		into = k.find(k.overflow, record.SeriesKey{Group: record.GroupOverflow, Pending: key.Pending})
	case into == nil && len(k.slots) < k.limit:
		into = k.find(k.slots, key)
		delete(k.evicted, key)
	case into == nil:
		into = k.find(k.overflow, record.SeriesKey{Group: id, Pending: key.Pending})
	}
	ns := k.random.Uint64N(1 << (4 + k.random.IntN(30)))
	into.Buckets[histogram.Index(ns)]++
	into.Sum += ns
	k.made.calls++
	k.made.sum += ns
	k.made.buckets[histogram.Index(ns)]++
	if key.Pending {
		k.made.errors++
	}
}

func (*kernel) find(in map[record.SeriesKey]*record.Series, key record.SeriesKey) *record.Series {
	s, found := in[key]
	if !found {
		s = &record.Series{SeriesKey: key, Buckets: make([]uint64, histogram.Buckets)}
		in[key] = s
	}
	return s
}

// waiting is how many calls no snapshot has taken.
func (k *kernel) waiting() (n uint64) {
	for _, in := range []map[record.SeriesKey]*record.Series{k.slots, k.lost, k.overflow} {
		for _, s := range in {
			n += s.Count()
		}
	}
	return n
}

// sortedSlots returns the series with slots in an order that a seed repeats.
func (k *kernel) sortedSlots() []record.SeriesKey {
	return slices.SortedFunc(maps.Keys(k.slots), func(a, b record.SeriesKey) int {
		return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
}

// evict takes the slot of a series.
func (k *kernel) evict(key record.SeriesKey) {
	k.keep(key)
	k.evicted[key] = true
}

// keep moves the calls of a slot that goes.
func (k *kernel) keep(key record.SeriesKey) {
	from, to := k.slots[key], k.find(k.lost, key)
	delete(k.slots, key)
	to.Sum += from.Sum
	for i, n := range from.Buckets {
		to.Buckets[i] += n
	}
}

func (k *kernel) evictGroup(id uint32) {
	k.evictedGroups[id] = k.groups[id].Group
	delete(k.groups, id)
	for key := range k.slots {
		if key.Group == id {
			k.keep(key)
		}
	}
}

func (k *kernel) snapshot() *record.Snapshot {
	s := &record.Snapshot{Groups: map[uint32]record.Group{}, Evicted: slices.Collect(maps.Keys(k.evicted))}
	take := func(from *record.Series, overflow bool) {
		if from.Count() > 0 {
			taken := *from
			taken.Overflow = overflow
			s.Series = append(s.Series, taken)
			if g, gone := k.evictedGroups[from.Group]; gone {
				s.Groups[from.Group] = g
			}
		}
	}
	for key, slot := range k.slots {
		if before := k.lost[key]; before != nil { // it was taken, and given again
			slot.Sum += before.Sum
			for i, n := range before.Buckets {
				slot.Buckets[i] += n
			}
			delete(k.lost, key)
		}
		take(slot, false)
		k.slots[key] = &record.Series{SeriesKey: key, Buckets: make([]uint64, histogram.Buckets)}
	}
	for _, lost := range k.lost {
		take(lost, false)
	}
	for _, overflow := range k.overflow {
		take(overflow, true)
	}
	for id, g := range k.groups {
		s.Groups[id] = g.Group
		if g.ended {
			s.EndedGroups = append(s.EndedGroups, id)
		}
	}
	s.EvictedGroups = slices.Collect(maps.Keys(k.evictedGroups))
	k.clear()
	return s
}

// remove is the probe's Remove.
func (k *kernel) remove(series []record.SeriesKey, groups []uint32) error {
	for _, key := range series {
		slot, found := k.slots[key]
		if !found {
			return fmt.Errorf("series %+v has no slot", key)
		}
		if slot.Count() == 0 {
			delete(k.slots, key)
		}
	}
	for _, id := range groups {
		g := k.groups[id]
		used := g == nil || g.runs
		for key := range k.slots {
			used = used || key.Group == id
		}
		for key := range k.overflow {
			used = used || key.Group == id
		}
		if !used {
			delete(k.groups, id)
		}
	}
	return nil
}
