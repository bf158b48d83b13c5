// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"math"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/shares"
)

const (
	// saving and owing bound what quiet times save and what is compensated for, in
	// seconds of the target. Less is kept than is owed: the settings of the series, not
	// savings, allow for bursts.
	saving, owing = 0.3, 0.5
	// What the newcomers of one owner may draw in a period, and each second: shares of
	// the target, in a period at least minBurst spans, if that is not above the target.
	// Two programs of millions of calls a second draw twelve times burstShare each, in the
	// second before the controller sees their first call. On a host with many owners it is less, down to fewBurst, so that bursts of
	// all of them at once draw no more than hostBurst seconds of the target.
	burstShare          = 0.1
	newShare            = 0.15
	minBurst, fewBurst  = 50, 20
	hostBurst           = 10
	allowanceBursts     = 3 // that an unused allowance saves up
	hostAllowanceBursts = 6
	// charge is what a newcomer takes from an allowance at most. One that floods has
	// more spans, which its share pays for: it does not take the place of others.
	charge = 20
	// slack is what a settled series may have beyond twice what is expected.
	slack = 10
	// lastingPeriods is in how many periods a series must have had calls to be settled,
	// unless it has more than lastingCalls in one. What comes once is expected of all
	// newcomers together, not of each.
	lastingPeriods, lastingCalls = 2, 20
	// lastingRate is the peak below which a series is not expected at all.
	lastingRate = 0.1 // calls a second
	// The controller takes an elapsed time for one within these bounds, whatever clocks
	// do, and makes limits for a period within the latter.
	minElapsed, maxElapsed = 0.01, 10 // seconds
	minPeriod, maxPeriod   = 0.1, 1   // seconds
	// calming is how much of a long period is forgotten in each: a host that was too
	// busy for this loop will be so again.
	calming = 0.02
)

// Controller is the control loop that adjusts the settings to keep to a target rate of
// spans, max-min fair among owners, among the groups of each and among the series of
// each. It is not safe for concurrent use.
type Controller struct {
	target float64 // spans a second; 0: no target

	saved  float64 // spans; negative: excess to compensate for
	period float64 // seconds, as long as the longest of late
	burst  float64 // spans that newcomers of one owner may draw in a period

	newOwners pool
	allowance float64 // spans that new owners may draw beyond the share of their pool

	now, atPeak shares.Division
	members     []shares.Member // of the division now
	peaks       []shares.Member // and of the one at peak
	ownerOf     []uint32        // of the groups, and of the pool of each owner
}

// NewController returns a controller. target is in spans per second, 0 for no target.
func NewController(target float64) *Controller {
	c := &Controller{target: target, period: minPeriod, saved: saving * target}
	c.burst = c.maxBurst()
	c.allowance = hostAllowanceBursts * c.burst
	c.newOwners.bounded = true
	return c
}

func (c *Controller) maxBurst() float64 { return max(burstShare*c.target, min(minBurst, c.target)) }

// Start returns the settings to apply before the first call.
func (c *Controller) Start() Defaults {
	if c.target <= 0 {
		return Defaults{Owner: Setting{Limit: NoLimit}}
	}
	return Defaults{Owner: Setting{Limit: limit(c.burst)}}
}

// Next computes the settings for the next period. elapsed is the time since the last
// Next. It keeps what it has to remember in the elements.
func (c *Controller) Next(elapsed time.Duration, series []Series, groups []Group, owners []Owner) Defaults {
	if c.target <= 0 {
		for i := range series {
			s := &series[i]
			s.Setting, s.Settled = Setting{Threshold: Threshold(s.Max), Limit: NoLimit}, true
		}
		return c.Start()
	}
	seconds := min(maxElapsed, max(minElapsed, elapsed.Seconds()))
	c.period = min(maxPeriod, max(minPeriod, seconds, c.period+(seconds-c.period)*calming))
	c.count(seconds, series, groups, owners)
	c.settle(series, groups, owners)
	c.divide(series, groups, owners)
	return c.decide(series, groups, owners)
}

// count updates estimates and allowances.
func (c *Controller) count(seconds float64, series []Series, groups []Group, owners []Owner) {
	forget := math.Exp(-seconds / memory)
	var kept float64
	for i := range series {
		s := &series[i]
		if s.Max <= 0 {
			continue
		}
		calls := float64(s.Kept) + float64(s.SampledOut)
		isNew := s.calls.age == 0
		s.calls.jump(calls, seconds)
		s.calls.add(calls, seconds, forget)
		if calls == 0 {
			continue
		}
		kept += float64(s.Kept)
		s.periods = min(s.periods+1, lastingPeriods)
		if calls > lastingCalls {
			s.periods = lastingPeriods
		}
		if s.Settled {
			continue
		}
		g := &groups[s.Group]
		o := &owners[g.Owner]
		if g.Settled {
			g.pool.count(calls, s.Max)
			continue
		}
		drawn := float64(s.Kept)
		if isNew {
			drawn = min(drawn, charge)
		}
		o.drawn += drawn
		if o.known {
			o.pool.count(calls, s.Max)
		} else {
			c.newOwners.count(calls, s.Max)
		}
	}
	for i := range groups {
		groups[i].pool.estimate(seconds, forget)
	}
	burst := c.maxBurst()
	var drawn float64
	for i := range owners {
		o := &owners[i]
		o.pool.estimate(seconds, forget)
		if !o.known {
			drawn += min(o.drawn, burst)
			o.allowance = allowanceBursts * burst
			o.pool.bounded = true
		}
		o.allowance = c.refill(o.allowance, allowanceBursts*burst, seconds, o.pool.share, o.drawn)
		o.drawn = 0
	}
	c.newOwners.estimate(seconds, forget)
	c.allowance = c.refill(c.allowance, hostAllowanceBursts*burst, seconds, c.newOwners.share, drawn)
	c.saved = min(saving*c.target, max(-owing*c.target, c.saved+c.target*seconds-kept))
}

// refill returns an allowance after a period in which spans were drawn on it and on the
// share of its pool.
func (c *Controller) refill(allowance, most, seconds, share, drawn float64) float64 {
	return min(most, max(-most, allowance+(newShare*c.target+share)*seconds-drawn))
}

// settle finds which groups and series have a setting of their own.
func (c *Controller) settle(series []Series, groups []Group, owners []Owner) {
	for i := range groups {
		groups[i].lasting = 0
	}
	for i := range owners {
		owners[i].lasting = 0
	}
	for i := range series {
		s := &series[i]
		if s.Max <= 0 {
			continue
		}
		g := &groups[s.Group]
		g.known, owners[g.Owner].known = true, true
		if s.lasting() {
			g.lasting++
		}
	}
	for i := range groups {
		if groups[i].lasting > 0 {
			owners[groups[i].Owner].lasting++
		}
	}
	lasting := 0
	for i := range owners {
		if owners[i].lasting > 0 {
			lasting++
		}
	}
	c.burst = min(c.maxBurst(), max(fewBurst, part(hostBurst*c.target, lasting)))
	for i := range groups {
		g := &groups[i]
		g.burst = part(c.burst, owners[g.Owner].lasting)
		g.slack = min(slack, part(g.burst, g.lasting))
		g.Settled = g.known && g.burst >= 1
	}
	for i := range series {
		s := &series[i]
		if !s.lasting() {
			s.Settled = false
			continue
		}
		// Where there are too many for a limit of their own, those below the level share
		// that of their group.
		g := &groups[s.Group]
		s.Settled = g.slack >= 1 || s.calls.peak*s.Max > g.peakLevel
	}
}

// part is one of n equal parts, the whole for none.
func part(of float64, n int) float64 { return of / float64(max(1, n)) }

// divide finds the fair shares of the rate that is allowed now: of the calls that are
// expected, and of those if all series were back at their peaks.
func (c *Controller) divide(series []Series, groups []Group, owners []Owner) {
	c.members, c.ownerOf = c.members[:0], c.ownerOf[:0]
	member := func(group int, need float64) {
		if need > 0 {
			c.members = append(c.members, shares.Member{Group: uint32(group), Need: need})
		}
	}
	for i := range groups {
		member(len(c.ownerOf), groups[i].pool.need())
		c.ownerOf = append(c.ownerOf, groups[i].Owner)
	}
	for i := range owners {
		member(len(c.ownerOf), owners[i].pool.need())
		c.ownerOf = append(c.ownerOf, uint32(i))
	}
	member(len(c.ownerOf), c.newOwners.need())
	c.ownerOf = append(c.ownerOf, uint32(len(owners)))
	c.peaks = append(c.peaks[:0], c.members...)
	for i := range series {
		if s := &series[i]; s.Settled {
			member(int(s.Group), s.calls.rate*s.Max)
			c.peaks = append(c.peaks, shares.Member{Group: s.Group, Need: s.calls.peak * s.Max})
		}
	}
	allowed := max((1-owing)*c.target, c.target+c.saved)
	c.now.Divide(allowed, c.members, c.ownerOf, len(owners)+1)
	c.atPeak.Divide(c.target, c.peaks, c.ownerOf, len(owners)+1)
}

// decide makes the settings of the shares.
func (c *Controller) decide(series []Series, groups []Group, owners []Owner) Defaults {
	levels := c.now.Member
	for i := range groups {
		g := &groups[i]
		g.level, g.peakLevel = levels[i], c.atPeak.Member[i]
		g.Setting = g.pool.setting(g.level, 0, g.burst, c.period)
	}
	for i := range owners {
		o := &owners[i]
		left := max(0, o.allowance)
		o.Setting = o.pool.setting(levels[len(groups)+i], left, min(c.burst, left), c.period)
	}
	for i := range series {
		s := &series[i]
		if s.Max <= 0 {
			continue
		}
		s.Setting = Setting{Threshold: Threshold(s.Max)}
		if !s.Settled {
			continue
		}
		g := &groups[s.Group]
		need, level := s.calls.rate*s.Max, g.level
		if s.calls.silence >= shortWindow {
			need, level = s.calls.peak*s.Max, g.peakLevel
		}
		if level < need {
			s.Threshold = Threshold(s.Max * level / need)
		}
		s.Limit = limit(2*min(need, level)*c.period + g.slack)
	}
	left := max(0, c.allowance)
	return Defaults{Owner: c.newOwners.setting(levels[len(levels)-1], left, min(c.burst, left), c.period)}
}
