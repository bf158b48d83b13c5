// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/sampling"
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
	p.applyDefaults(defaults)
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

// applyDefaults sets what new owners get.
func (p *places) applyDefaults(d sampling.Defaults) {
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
