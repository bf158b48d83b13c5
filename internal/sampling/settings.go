// SPDX-License-Identifier: Apache-2.0

package sampling

import "math"

// NoLimit is the limit of a Setting that never applies.
const NoLimit = math.MaxUint32

// Setting is what the BPF programs apply until the next one. A call is kept if its
// randomness is not below Threshold. Once the calls that were kept since the Setting was
// made exceed Limit, the probability is multiplied by (Limit / kept)^4.
type Setting struct {
	Threshold uint64 // of 56 bits
	Limit     uint32
}

func limit(spans float64) uint32 { return uint32(max(1, min(spans, NoLimit-1))) }

// Series is what the controller has to know about one series, and what it decided. The
// caller keeps one for each slot, and another if its slow calls are kept with a
// probability of their own. The zero value is a slot without a series: the caller sets it
// when a slot is freed.
type Series struct {
	Group uint32  // indexes the groups
	Max   float64 // the highest probability of its calls, above 0
	// Kept and SampledOut are the calls since the last Next.
	Kept, SampledOut uint32

	Setting
	// Settled: the limit of the Setting is for the calls of this series. A series that
	// is not settled, as a new one, shares the Setting of its group if that is settled,
	// otherwise that of its owner: the limit is for the calls of all that share it, and
	// of the two thresholds the higher applies.
	Settled bool

	calls   estimate
	periods int // with calls, up to lastingPeriods
}

// lasting reports whether more calls of a series are expected.
func (s *Series) lasting() bool {
	return s.Max > 0 && s.periods == lastingPeriods && s.calls.peak >= lastingRate && !s.calls.over()
}

// Group is a group of series. The caller keeps one for each number of the kernel's
// table, with the zero value for one that is free.
type Group struct {
	Owner uint32 // indexes the owners

	Setting
	// Settled: the series of this group that are not settled share its Setting, not that
	// of its owner. A new group is not settled.
	Settled bool

	known     bool
	pool      pool
	lasting   int     // series of which more calls are expected
	burst     float64 // spans that its pool may have beyond twice what is expected
	slack     float64 // the same for each of its settled series
	level     float64 // of its series, in spans a second
	peakLevel float64 // the same if all were back at their peaks
}

// Owner is an owner of groups. The caller keeps one for each number of the kernel's
// table, with the zero value for one that is free.
type Owner struct {
	Setting

	known     bool
	pool      pool
	drawn     float64 // spans since the last Next, by its pool
	allowance float64 // spans that its pool may draw beyond its share
	lasting   int     // groups of which more calls are expected
}

// Defaults are the settings of what the controller does not know yet.
type Defaults struct {
	Owner Setting // of an owner since its first call
}

// pool is the calls of all series that share a setting.
type pool struct {
	calls   estimate
	counted float64 // calls since the last Next
	weighed float64 // these, each by its highest probability
	highest float64 // probability, on average
	share   float64 // spans a second
	// bounded: an allowance bounds what comes after a silence, so that the rate need not.
	bounded bool
}

func (p *pool) count(calls, highest float64) {
	p.counted += calls
	p.weighed += calls * highest
}

func (p *pool) estimate(seconds, forget float64) {
	if p.counted > 0 {
		p.highest = p.weighed / p.counted
		if p.ended() {
			p.calls.restart()
		}
	}
	p.calls.add(p.counted, seconds, forget)
	p.counted, p.weighed = 0, 0
}

// ended reports whether the newcomers before no longer tell about those to come.
func (p *pool) ended() bool { return p.bounded && p.calls.rate*p.calls.silence > improbable }

// need is how many spans a second it would have without a target.
func (p *pool) need() float64 {
	if p.ended() {
		return 0
	}
	return p.calls.rate * p.highest
}

// setting is for a share of the target up to a level. What is left of an allowance comes
// on top of the share, a burst on top of what is expected in a period.
func (p *pool) setting(level, allowance, burst, period float64) Setting {
	need := p.need()
	p.share = min(need, level)
	s := Setting{Limit: limit(2*p.share*period + burst)}
	if most := level + allowance; most < need {
		s.Threshold = Threshold(p.highest * most / need)
	}
	return s
}
