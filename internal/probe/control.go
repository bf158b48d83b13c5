// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/polling"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sampling"
	"github.com/getsockopt/getsockoptreceiver/internal/shares"
)

const (
	// controlPeriod is how often shares and thresholds are adjusted under load.
	controlPeriod = 100 * time.Millisecond
	// lookPeriod is how often shares are adjusted while there are places enough. A look at
	// the counts takes their memory from the CPUs that make calls, so that the next call in
	// each series costs more.
	lookPeriod = time.Second
	// idlePeriod is how often the load is checked without any calls. The BPF programs
	// themselves bound a burst that begins meanwhile.
	idlePeriod = time.Second
	// forgetPeriod is how often processes that have ended are forgotten, so that those that
	// run keep their place.
	forgetPeriod = time.Second
	// staleAfter is for how long a series is silent before it makes way for a new one of
	// its group, if the group may not have more.
	staleAfter = 10 * time.Second
)

// samplingOptions are the options of the places' sampling.
type samplingOptions struct {
	ratio      float64
	limited    bool // by a target rate
	keepFailed bool
}

func samplingOf(o *Options) samplingOptions {
	return samplingOptions{
		ratio: o.SamplingRatio, limited: o.Spans && o.SpansPerSecond > 0,
		keepFailed: o.KeepFailed,
	}
}

// samplerSlot is where the kernel has a sampler.
type samplerSlot struct {
	id     uint32
	lifted uint32 // 1: the second of the slot, of calls that always_keep lifts
}

func (p *places) settingOf(at samplerSlot) *bpf.GetsockoptSampler {
	if at.lifted != 0 {
		return &p.series[at.id].Lifted
	}
	return &p.series[at.id].Sampler
}

// highest returns the highest probability of the calls of a sampler.
func (p *places) highest(at samplerSlot) float64 {
	failed := p.slots[at.id].used && p.slots[at.id].key.Error != 0
	if at.lifted != 0 || failed && p.sampled.keepFailed {
		return 1
	}
	return p.sampled.ratio
}

// groupOf returns the index of the group of a slot.
func (p *places) groupOf(id uint32) uint32 {
	if int(id) < p.firstSlot() {
		return id / overflowSlots
	}
	return groupIndex(p.slots[id].key.Group)
}

// count makes the controller divide spans among calls that were sampled.
func (p *places) count(at samplerSlot, kept, out uint32) {
	highest := p.highest(at)
	if !p.sampled.limited || highest <= 0 {
		return
	}
	index := &p.slots[at.id].samplers[at.lifted]
	if *index == 0 {
		p.samplers = append(p.samplers, sampling.Series{Group: p.groupOf(at.id), Max: highest})
		p.samplerSlots = append(p.samplerSlots, at)
		*index = uint32(len(p.samplers))
	}
	s := &p.samplers[*index-1]
	s.Kept += kept
	s.SampledOut += out
}

// dropSampling makes the controller forget a slot, once its counts were taken.
func (p *places) dropSampling(id uint32) {
	for i := range p.slots[id].samplers {
		index := &p.slots[id].samplers[i]
		if *index == 0 {
			continue
		}
		last := len(p.samplers) - 1
		moved := p.samplerSlots[last]
		p.samplers[*index-1], p.samplerSlots[*index-1] = p.samplers[last], moved
		p.slots[moved.id].samplers[moved.lifted] = *index
		p.samplers, p.samplerSlots = p.samplers[:last], p.samplerSlots[:last]
		*index = 0
	}
}

// resetOverflow sets the sampling of an overflow as init_samplers of bpf/series.h does.
func (p *places) resetOverflow(id uint32) {
	fresh := bpf.GetsockoptSampler{Own: bpf.GetsockoptSetting{Limit: math.MaxUint32}}
	if !p.sampled.limited {
		fresh.Settled = 1
	}
	p.series[id].Lifted = fresh
	fresh.Own.Threshold = sampling.Threshold(p.sampled.ratio)
	p.series[id].Sampler = fresh
}

// takeSampling adds what sampling has decided in a slot to the counts.
func (p *places) takeSampling(id uint32) {
	for lifted := range uint32(2) {
		at := samplerSlot{id: id, lifted: lifted}
		s := p.settingOf(at)
		var kept, out uint32
		if atomic.LoadUint32(&s.Own.Kept) != 0 {
			kept = atomic.SwapUint32(&s.Own.Kept, 0)
		}
		if atomic.LoadUint32(&s.SampledOut) != 0 {
			out = atomic.SwapUint32(&s.SampledOut, 0)
		}
		if lifted == 0 {
			for counts := range p.countsOf(id) {
				if atomic.LoadUint32(&counts.SampledOut) != 0 {
					out += atomic.SwapUint32(&counts.SampledOut, 0)
				}
			}
		}
		if kept != 0 || out != 0 {
			p.kept += uint64(kept)
			p.sampledOut += uint64(out)
			p.count(at, kept, out)
		}
	}
}

// takeAllSampling is look without the counts of calls.
func (p *places) takeAllSampling() error {
	p.findSeries()
	if err := p.findGroups(); err != nil {
		return err
	}
	for id := range p.slotsInUse() {
		p.takeSampling(id)
	}
	return nil
}

// sample lets the controller decide, and applies its settings.
func (p *places) sample(c *sampling.Controller, elapsed time.Duration) {
	defaults := p.next(c, elapsed)
	for i := range p.samplers {
		d, s := &p.samplers[i], p.settingOf(p.samplerSlots[i])
		apply(&s.Own, d.Setting)
		set(&s.Settled, uint32(boolByte(d.Settled)))
	}
	for i := range p.groupsEnd {
		g := &p.samplingGroups[i]
		apply(&p.tables.groups[i].Unsettled, g.Setting)
		set(&p.tables.groups[i].Unsettled.Kept, 0)
		set(&p.tables.groups[i].Settled, uint32(boolByte(g.Settled)))
	}
	for i := range p.ownersEnd {
		apply(&p.owners[i].Unsettled, p.samplingOwners[i].Setting)
		set(&p.owners[i].Unsettled.Kept, 0)
	}
	p.apply(defaults)
}

// next tells the controller what was counted.
func (p *places) next(c *sampling.Controller, elapsed time.Duration) sampling.Defaults {
	for i := range p.groupsEnd {
		p.samplingGroups[i].Owner = p.ownerOf[i]
	}
	defaults := c.Next(elapsed, p.samplers, p.samplingGroups[:p.groupsEnd], p.samplingOwners[:p.ownersEnd])
	for i := range p.samplers {
		p.samplers[i].Kept, p.samplers[i].SampledOut = 0, 0
	}
	return defaults
}

// apply sets what new owners get.
func (p *places) apply(d sampling.Defaults) {
	atomic.StoreUint64(&p.shares.Unsettled.Threshold, d.Owner.Threshold)
	atomic.StoreUint32(&p.shares.Unsettled.Limit, d.Owner.Limit)
}

func apply(to *bpf.GetsockoptSetting, s sampling.Setting) {
	if atomic.LoadUint64(&to.Threshold) != s.Threshold {
		atomic.StoreUint64(&to.Threshold, s.Threshold)
	}
	set(&to.Limit, s.Limit)
}

// set stores a number that most often has not changed: a store would take the memory from the
// CPUs that make calls.
func set(to *uint32, n uint32) {
	if atomic.LoadUint32(to) != n {
		atomic.StoreUint32(to, n)
	}
}

// reclaim divides the places among owners and groups, and takes those back that are above
// a share, so that some are always free for newcomers.
func (p *places) reclaim() error {
	p.seriesPlaces, p.placeIDs = p.seriesPlaces[:0], p.placeIDs[:0]
	for id := p.firstSlot(); id < p.slotsEnd; id++ {
		if s := &p.slots[id]; s.used {
			index := groupIndex(s.key.Group)
			p.seriesPlaces = append(p.seriesPlaces, shares.Place{Owner: p.ownerOf[index], Group: index, Idle: s.idle})
			p.placeIDs = append(p.placeIDs, uint32(id))
		}
	}
	taken := p.seriesShares.Reclaim(p.limit(), p.seriesPlaces, p.ownerOf[:p.groupsEnd], p.ownersEnd, uint32(staleAfter.Milliseconds()), math.MaxUint32)
	ids := make([]uint32, len(taken))
	for i, t := range taken {
		ids[i] = p.placeIDs[t]
	}
	atomic.StoreUint32(&p.shares.FairSlots, p.fairShare(p.limit(), hasSlots))
	atomic.StoreUint32(&p.shares.SlotsOfOwner, p.seriesShares.Owner)
	for owner, most := range p.seriesShares.Group {
		atomic.StoreUint32(&p.owners[owner].SlotsOfGroup, most)
	}
	if err := p.freeSlots(ids, true); err != nil {
		return err
	}
	return p.reclaimGroups()
}

func (p *places) reclaimGroups() error {
	limit := len(p.groups) - 1
	var living map[uint32]bool
	if shared := limit - shares.Reserve(limit); p.known > shared-shared/8 {
		var err error
		if living, err = p.livingGroups(); err != nil {
			return err
		}
	}
	p.groupPlaces, p.placeIDs = p.groupPlaces[:0], p.placeIDs[:0]
	for i := range p.groupsEnd {
		if g := &p.groups[i]; g.known {
			place := shares.Place{Owner: p.ownerOf[i], Group: uint32(i), Idle: g.idle}
			if living != nil && !living[g.group.ID] {
				place.Idle += maxIdle // before any group that has a process
			}
			p.groupPlaces = append(p.groupPlaces, place)
			p.placeIDs = append(p.placeIDs, uint32(i))
		}
	}
	taken := p.groupShares.Reclaim(limit, p.groupPlaces, p.ownerOf[:p.groupsEnd], p.ownersEnd, maxIdle+uint32(staleAfter.Milliseconds()), maxIdle)
	indices := make([]uint32, len(taken))
	for i, t := range taken {
		indices[i] = p.placeIDs[t]
	}
	atomic.StoreUint32(&p.shares.FairGroups, p.fairShare(limit, hasGroups))
	atomic.StoreUint32(&p.shares.GroupsOfOwner, p.groupShares.Owner)
	return p.freeGroups(indices, true)
}

// fairShare is what each owner has if all want more. have is whether an owner has any.
func (p *places) fairShare(limit int, have func(*bpf.GetsockoptOwnerState) bool) uint32 {
	owners := 0
	for i := range p.ownersEnd {
		if have(&p.owners[i]) {
			owners++
		}
	}
	return uint32((limit - shares.Reserve(limit)) / max(1, owners))
}

func hasSlots(o *bpf.GetsockoptOwnerState) bool { return atomic.LoadUint32(&o.Slots) != 0 }

func hasGroups(o *bpf.GetsockoptOwnerState) bool { return atomic.LoadUint32(&o.Groups) != 0 }

// startControlLoop adjusts shares and thresholds to the load until stopControlLoop.
func (p *Probe) startControlLoop() {
	p.control.Go(func() {
		ticker := time.NewTicker(controlPeriod)
		defer ticker.Stop()
		last := time.Now()
		failing := false
		for {
			select {
			case <-p.stopLoop:
				return
			case <-ticker.C:
			}
			// Not the time of the tick, which may be long past on a busy host.
			now := time.Now()
			next, err := p.adjust(now.Sub(last))
			if err != nil && !failing {
				p.options.Logger.Error("Cannot adjust the shares of series and spans, keeping the last ones", zap.Error(err))
			}
			failing = err != nil
			ticker.Reset(polling.Until(now, next))
			last = now
		}
	})
}

// adjust adjusts shares and thresholds to the calls since the last time, and returns when
// to do so again. Without any calls it leaves all as it is.
func (p *Probe) adjust(elapsed time.Duration) (next time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.recounted += elapsed; p.recounted >= recountPeriod {
		p.recounted = 0
		if err := p.tables.recount(); err != nil {
			return idlePeriod, err
		}
	}
	seen, err := p.readSeen()
	if err != nil {
		return idlePeriod, err
	}
	if seen == p.seen {
		p.quiet += elapsed
		return idlePeriod, nil
	}
	quiet := p.quiet // the controller learns of it first: it came before these calls
	p.seen, p.quiet = seen, 0
	if quiet > 0 && p.places.sampled.limited {
		p.places.next(p.controller, quiet)
	}
	p.places.unlooked += quiet + elapsed
	look := p.places.unlooked >= lookPeriod || p.places.scarce()
	if look {
		if err := p.places.look(p.places.unlooked); err != nil {
			return controlPeriod, err
		}
	} else if p.places.sampled.limited {
		if err := p.places.takeAllSampling(); err != nil {
			return controlPeriod, err
		}
	}
	if p.places.sampled.limited {
		p.places.sample(p.controller, elapsed)
	}
	if p.places.remembered += quiet + elapsed; p.places.remembered >= forgetPeriod {
		p.places.remembered = 0
		if _, err := p.places.livingGroups(); err != nil {
			return controlPeriod, err
		}
	}
	if !look {
		return controlPeriod, nil
	}
	p.places.unlooked = 0
	return controlPeriod, p.places.reclaim()
}

// stopControlLoop may be called again.
func (p *Probe) stopControlLoop() {
	p.stopOnce.Do(func() { close(p.stopLoop) })
	p.control.Wait()
}

// Remove frees the slots of series, and groups, that are not needed any more. It keeps
// slots that have counted calls since the last snapshot, and groups with slots, such calls
// or a living process. Keys that do not exist are ignored. After Close it returns an error
// that wraps os.ErrClosed.
func (p *Probe) Remove(series []record.SeriesKey, groups []uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("remove series: %w", os.ErrClosed)
	}
	return p.places.remove(series, groups)
}

func (p *places) remove(series []record.SeriesKey, groups []uint32) error {
	wanted := make(map[record.SeriesKey]bool, len(series))
	for _, key := range series {
		wanted[key] = true
	}
	var ids []uint32
	for id := p.firstSlot(); id < p.slotsEnd && len(wanted) > 0; id++ {
		if s := &p.slots[id]; s.used && wanted[s.key] && !p.hasCalls(uint32(id)) {
			ids = append(ids, uint32(id))
		}
	}
	if err := p.freeSlots(ids, false); err != nil || len(groups) == 0 {
		return err
	}
	living, err := p.livingGroups()
	if err != nil {
		return err
	}
	var unused []uint32
	for _, number := range groups {
		index := groupIndex(number)
		if int(index) < len(p.groups) && p.groups[index].known && p.groups[index].group.ID == number && !p.inUse(index, living) {
			unused = append(unused, index)
		}
	}
	return p.freeGroups(unused, false)
}
