// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"math"
	"math/rand/v2"
	"time"
)

// kernel plays the part of the BPF programs.
type kernel struct {
	random   *rand.Rand
	defaults Defaults
	series   []Series
	groups   []Group
	owners   []Owner
	slots    []slot
	// Kept on the settings of groups and owners since these were set.
	groupKept, ownerKept []uint32
}

// slot is what is known about a series from its first call to the end of the simulation.
type slot struct {
	setting  Setting // as the kernel has it
	settled  bool
	kept     uint32 // since then
	whole    int    // kept calls with the threshold 0
	calls    int
	spans    int
	weight   float64 // the sum of adjusted counts
	variance float64 // of weight: each call was kept with a known probability
}

func newKernel(seed uint64, target float64) (*kernel, *Controller) {
	c := NewController(target)
	return &kernel{random: rand.New(rand.NewPCG(seed, 1)), defaults: c.Start()}, c
}

func (k *kernel) owner() uint32 {
	k.owners = append(k.owners, Owner{Setting: k.defaults.Owner})
	k.ownerKept = append(k.ownerKept, 0)
	return uint32(len(k.owners) - 1)
}

func (k *kernel) group(owner uint32) uint32 {
	k.groups = append(k.groups, Group{Owner: owner})
	k.groupKept = append(k.groupKept, 0)
	return uint32(len(k.groups) - 1)
}

func (k *kernel) newSeries(group uint32, highest float64) uint32 {
	s, kernelSide := Series{Group: group, Max: highest}, slot{setting: Setting{Threshold: Threshold(highest)}}
	k.series, k.slots = append(k.series, s), append(k.slots, kernelSide)
	return uint32(len(k.slots) - 1)
}

// budget is whose limit applies to a series, and what was kept on it.
func (k *kernel) budget(id uint32) (*Setting, *uint32) {
	s := &k.slots[id]
	group := k.series[id].Group
	owner := k.groups[group].Owner
	switch {
	case s.settled:
		return &s.setting, &s.kept
	case k.groups[group].Settled:
		return &k.groups[group].Setting, &k.groupKept[group]
	}
	return &k.owners[owner].Setting, &k.ownerKept[owner]
}

// call makes n calls of a series, and returns how many became spans.
func (k *kernel) call(id uint32, n int) int {
	s := &k.slots[id]
	budget, kept := k.budget(id)
	s.calls += n
	spans := 0
	for {
		keep := end - max(s.setting.Threshold, budget.Threshold)
		if *kept > budget.Limit {
			part := uint64(budget.Limit) << 16 / uint64(*kept)
			square := max(part*part>>16, 1)
			keep = keep >> 16 * square >> 16 * square
			keep = max(keep&^0xffff, 1<<16)
		}
		p := float64(keep) / float64(end)
		// How many calls are sampled out before the next is kept.
		skip := 0.0
		if p < 1 {
			skip = math.Floor(math.Log(1-k.random.Float64()) / math.Log1p(-p))
		}
		decisions := min(skip+1, float64(n))
		s.variance += decisions * (1 - p) / p
		if skip >= float64(n) {
			k.series[id].SampledOut += uint32(n)
			return spans
		}
		k.series[id].SampledOut += uint32(skip)
		n -= int(skip) + 1
		k.series[id].Kept++
		*kept++
		spans++
		s.spans++
		s.weight += 1 / p
		if p == 1 {
			s.whole++
		}
	}
}

// all are the series of the whole simulation.
func (k *kernel) all() []uint32 {
	ids := make([]uint32, len(k.slots))
	for i := range ids {
		ids[i] = uint32(i)
	}
	return ids
}

// control lets the controller see the calls since the last time.
func (k *kernel) control(c *Controller, elapsed time.Duration) {
	k.defaults = c.Next(elapsed, k.series, k.groups, k.owners)
	for i := range k.series {
		s := &k.series[i]
		s.Kept, s.SampledOut = 0, 0
		k.slots[i].setting, k.slots[i].settled, k.slots[i].kept = s.Setting, s.Settled, 0
	}
	clear(k.groupKept)
	clear(k.ownerKept)
}

// tick is the step of a simulation.
const tick = 10 * time.Millisecond

// run calls each of the sources once a tick, in any order, and returns the spans of each
// second. wait is the time to the next control, which a busy host delays.
func (k *kernel) run(c *Controller, duration time.Duration, wait func() time.Duration, sources ...func(at time.Duration) int) []int {
	spans := make([]int, duration/time.Second)
	last, next := time.Duration(0), wait()
	for at := time.Duration(0); at < duration; at += tick {
		if at >= next {
			k.control(c, at-last)
			last, next = at, at+wait()
		}
		for _, i := range k.random.Perm(len(sources)) {
			spans[at/time.Second] += sources[i](at)
		}
	}
	return spans
}

func everyPeriod() time.Duration { return 100 * time.Millisecond }

// starved is a host that lets the control loop run in one of three periods late.
func (k *kernel) starved() time.Duration {
	if k.random.IntN(3) == 0 {
		return 700 * time.Millisecond
	}
	return 100 * time.Millisecond
}

// steadily makes calls at a rate, with the noise of a Poisson process.
func (k *kernel) steadily(id uint32, rate float64) func(time.Duration) int {
	return func(time.Duration) int { return k.call(id, k.poisson(rate*tick.Seconds())) }
}

func (k *kernel) poisson(mean float64) int {
	if mean > 100 {
		return int(max(0, mean+math.Sqrt(mean)*k.random.NormFloat64()+0.5))
	}
	n, p, bound := 0, 1.0, math.Exp(-mean)
	for p *= k.random.Float64(); p > bound; p *= k.random.Float64() {
		n++
	}
	return n
}
