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
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sampling"
	"github.com/getsockopt/getsockoptreceiver/internal/shares"
)

const (
	// controlPeriod is how often shares and thresholds are adjusted under load.
	controlPeriod = 100 * time.Millisecond
	// idlePeriod is how often the load is checked without any calls. The BPF programs
	// themselves bound a burst that begins meanwhile.
	idlePeriod = time.Second
	// staleAfter is for how long a series is silent before it makes way for a new one of
	// its group, if the group may not have more.
	staleAfter = 10 * time.Second
)

// samplingOptions are the options of the places' sampling.
type samplingOptions struct {
	ratio              float64
	limited            bool // by a target rate
	keepFailed, lifted bool // lifted: a series may have calls that always_keep lifts, and others
}

func samplingOf(o *Options) samplingOptions {
	return samplingOptions{
		ratio: o.SamplingRatio, limited: o.Spans && o.SpansPerSecond > 0,
		keepFailed: o.KeepFailed, lifted: o.KeepSlower > 0,
	}
}

// sampleSeries makes the controller divide spans among the calls of a slot.
func (p *places) sampleSeries(id uint32) {
	key := &p.slots[id].key
	highest := p.sampled.ratio
	if key.Error != 0 && p.sampled.keepFailed {
		highest = 1
	}
	lifted := 0.0
	if p.sampled.lifted && highest < 1 {
		lifted = 1
	}
	index := groupIndex(key.Group)
	p.samplers[2*id] = sampling.Series{Group: index, Max: highest}
	p.samplers[2*id+1] = sampling.Series{Group: index, Max: lifted}
}

// sampleOverflow is sampleSeries for the overflows of a group.
func (p *places) sampleOverflow(index uint32) {
	for i := range uint32(overflowSlots) {
		id := overflowSlots*index + i
		p.samplers[2*id] = sampling.Series{Group: index, Max: p.sampled.ratio}
		p.samplers[2*id+1] = sampling.Series{Group: index, Max: 1}
	}
}

// dropSampling makes the controller forget a slot, once its counts were taken.
func (p *places) dropSampling(id uint32) {
	p.samplers[2*id], p.samplers[2*id+1] = sampling.Series{}, sampling.Series{}
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
	slot := &p.series[id]
	for i, s := range []*bpf.GetsockoptSampler{&slot.Sampler, &slot.Lifted} {
		var kept, out uint32
		if atomic.LoadUint32(&s.Own.Kept) != 0 {
			kept = atomic.SwapUint32(&s.Own.Kept, 0)
		}
		if atomic.LoadUint32(&s.SampledOut) != 0 {
			out = atomic.SwapUint32(&s.SampledOut, 0)
		}
		p.kept += uint64(kept)
		p.sampledOut += uint64(out)
		p.samplers[2*id+uint32(i)].Kept += kept
		p.samplers[2*id+uint32(i)].SampledOut += out
	}
}

// sample lets the controller decide, and applies its settings.
func (p *places) sample(c *sampling.Controller, elapsed time.Duration) {
	for i := range p.samplingGroups {
		p.samplingGroups[i].Owner = p.ownerOf[i]
	}
	defaults := c.Next(elapsed, p.samplers, p.samplingGroups, p.samplingOwners)
	for id := range p.series {
		for i, s := range []*bpf.GetsockoptSampler{&p.series[id].Sampler, &p.series[id].Lifted} {
			d := &p.samplers[2*id+i]
			if d.Max <= 0 {
				continue
			}
			d.Kept, d.SampledOut = 0, 0
			apply(&s.Own, d.Setting)
			atomic.StoreUint32(&s.Settled, uint32(boolByte(d.Settled)))
		}
	}
	for i := range p.samplingGroups {
		g := &p.samplingGroups[i]
		apply(&p.tables.groups[i].Unsettled, g.Setting)
		atomic.StoreUint32(&p.tables.groups[i].Unsettled.Kept, 0)
		atomic.StoreUint32(&p.tables.groups[i].Settled, uint32(boolByte(g.Settled)))
	}
	for i := range p.samplingOwners {
		apply(&p.owners[i].Unsettled, p.samplingOwners[i].Setting)
		atomic.StoreUint32(&p.owners[i].Unsettled.Kept, 0)
	}
	p.apply(defaults)
}

// apply sets what new owners get.
func (p *places) apply(d sampling.Defaults) {
	atomic.StoreUint64(&p.shares.Unsettled.Threshold, d.Owner.Threshold)
	atomic.StoreUint32(&p.shares.Unsettled.Limit, d.Owner.Limit)
}

func apply(to *bpf.GetsockoptSetting, s sampling.Setting) {
	atomic.StoreUint64(&to.Threshold, s.Threshold)
	atomic.StoreUint32(&to.Limit, s.Limit)
}

// reclaim divides the places among owners and groups, and takes those back that are above
// a share, so that some are always free for newcomers.
func (p *places) reclaim() error {
	p.seriesPlaces, p.placeIDs = p.seriesPlaces[:0], p.placeIDs[:0]
	for id := p.firstSlot(); id < p.seriesEnd(); id++ {
		if s := &p.slots[id]; s.used {
			index := groupIndex(s.key.Group)
			p.seriesPlaces = append(p.seriesPlaces, shares.Place{Owner: p.ownerOf[index], Group: index, Idle: s.idle})
			p.placeIDs = append(p.placeIDs, uint32(id))
		}
	}
	taken := p.seriesShares.Reclaim(p.limit(), p.seriesPlaces, p.ownerOf, len(p.owners), uint32(staleAfter.Milliseconds()))
	ids := make([]uint32, len(taken))
	for i, t := range taken {
		ids[i] = p.placeIDs[t]
	}
	atomic.StoreUint32(&p.shares.FairSlots, p.fairShare(p.limit(), p.seriesPlaces))
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
	if p.known > limit-shares.Reserve(limit) {
		var err error
		if living, err = p.livingGroups(); err != nil {
			return err
		}
	}
	p.groupPlaces, p.placeIDs = p.groupPlaces[:0], p.placeIDs[:0]
	for i := range p.groups {
		if g := &p.groups[i]; g.known {
			place := shares.Place{Owner: p.ownerOf[i], Group: uint32(i), Idle: g.idle}
			if living != nil && !living[g.group.ID] {
				place.Idle += maxIdle // before any group that has a process
			}
			p.groupPlaces = append(p.groupPlaces, place)
			p.placeIDs = append(p.placeIDs, uint32(i))
		}
	}
	taken := p.groupShares.Reclaim(limit, p.groupPlaces, p.ownerOf, len(p.owners), maxIdle+uint32(staleAfter.Milliseconds()))
	indices := make([]uint32, len(taken))
	for i, t := range taken {
		indices[i] = p.placeIDs[t]
	}
	atomic.StoreUint32(&p.shares.FairGroups, p.fairShare(limit, p.groupPlaces))
	atomic.StoreUint32(&p.shares.GroupsOfOwner, p.groupShares.Owner)
	return p.freeGroups(indices, true)
}

// fairShare is what each owner has if all want more.
func (p *places) fairShare(limit int, held []shares.Place) uint32 {
	owners := make(map[uint32]bool)
	for i := range held {
		owners[held[i].Owner] = true
	}
	return uint32((limit - shares.Reserve(limit)) / max(1, len(owners)))
}

// startControlLoop adjusts shares and thresholds to the load until stopControlLoop.
func (p *Probe) startControlLoop() {
	p.control.Go(func() {
		ticker := time.NewTicker(controlPeriod)
		defer ticker.Stop()
		last := time.Now()
		var seen uint64
		failing := false
		for {
			select {
			case <-p.stopLoop:
				return
			case <-ticker.C:
			}
			// Not the time of the tick, which may be long past on a busy host.
			now := time.Now()
			calls, err := p.adjust(now.Sub(last))
			if err != nil && !failing {
				p.options.Logger.Error("Cannot adjust the shares of series and spans, keeping the last ones", zap.Error(err))
			}
			failing = err != nil
			if calls == seen {
				ticker.Reset(idlePeriod)
			} else {
				ticker.Reset(controlPeriod)
			}
			last, seen = now, calls
		}
	})
}

// adjust adjusts shares and thresholds to the calls since the last time. It returns the
// number of all calls.
func (p *Probe) adjust(elapsed time.Duration) (calls uint64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, err := p.readCounters()
	if err != nil {
		return 0, err
	}
	if err := p.places.look(elapsed); err != nil {
		return c.Seen, err
	}
	if p.places.sampled.limited {
		p.places.sample(p.controller, elapsed)
	}
	return c.Seen, p.places.reclaim()
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
	for id := p.firstSlot(); id < p.seriesEnd() && len(wanted) > 0; id++ {
		if s := &p.slots[id]; s.used && wanted[s.key] && !hasCalls(&p.series[id]) {
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
