// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"math"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/shares"
)

// NoLimit is the limit of a Setting that never applies.
const NoLimit = math.MaxUint32

// Setting is what the BPF programs apply until the next one: a call is kept if its
// randomness is not below Threshold. Once the calls kept since the last setting exceed
// Limit, the probability is multiplied by (Limit/kept)^4.
type Setting struct {
	Threshold uint64 // of 56 bits
	Limit     uint32
}

// Series is what the controller has to know about one series, and what it decided. The
// caller keeps one for each slot, with the zero value for a slot that is free.
type Series struct {
	Group uint32  // indexes the groups
	Max   float64 // the highest probability of its calls, 0 for a slot that is free
	// Kept and SampledOut are the calls since the last Next.
	Kept, SampledOut uint32

	// Setting of this series. Of the kept calls those up to Limit are its own if Settled;
	// otherwise it draws on the Setting of its group, or its owner: the lower probability
	// of both thresholds applies, and the limit of the latter.
	Setting
	// Settled is false for a new series, and for one that is idle.
	Settled bool

	calls   estimate
	periods int // with calls, up to settling
	known   bool
}

// lasting reports whether a series came more than once, and lately. What comes once is
// expected of all newcomers together, not of each.
func (s *Series) lasting() bool {
	return s.Max > 0 && s.periods == settling && s.calls.peak >= lastingRate && !s.calls.over()
}

// Group shares a Setting among those of its series that are not settled.
type Group struct {
	Owner uint32 // indexes the owners
	Setting
	// Settled is false for a new group, and where an owner has too many groups to give
	// each a limit: its series then draw on the Setting of the owner.
	Settled bool

	unsettled stream
	lasting   int     // series
	level     float64 // among its series
	equal     float64 // the share of each series if all needed the same
	spare     float64 // spans of each series beyond twice what is expected of it
}

// Owner shares a Setting among those of its series that are settled neither themselves
// nor by their group.
type Owner struct {
	Setting
	known     bool
	unsettled stream
	allowance float64 // spans that newcomers may still draw
	kept      float64 // by its series that are not settled
	expected  float64 // of kept in a second, at the last settings
	lasting   int     // groups with lasting series
}

// stream is the calls of all that draw on one setting.
type stream struct {
	calls estimate
	count float64 // calls since the last Next
	need  float64 // of these, what would be kept without a target
	mean  float64 // highest probability of its calls on average
}

// Defaults are the settings of what the controller does not know yet.
type Defaults struct {
	Owner Setting // of a new owner
}

const (
	// saving and owing bound what quiet times save for bursts and what is compensated
	// for, in seconds of the target.
	saving, owing = 0.3, 0.5
	// newcomers may draw newcomerShare of a second's target at once, and as much again
	// each second, but at least newcomerSpans.
	newcomerShare = 0.15
	newcomerSpans = 50
	newcomerMost  = 20
	bursts        = 3
	// slack is what a settled series may draw beyond twice what is expected of it.
	slack = 10
	// A lasting series has at least lastingRate calls a second.
	lastingRate = 0.1
	// settling is in how many periods a series must have had calls.
	settling = 2
	// shortest and longest bound the period that limits are made for.
	shortest, longest = 0.1, 1 // seconds
)

// Controller is the control loop that adjusts the settings to keep to a target rate of
// spans: max-min fair among owners, among the groups of each and among the series of
// each. It is not safe for concurrent use.
type Controller struct {
	target float64 // spans a second; 0: no target

	saved     float64 // spans; negative: excess to compensate for
	period    float64 // seconds, as long as the last ones were
	burst     float64 // spans that newcomers of one owner may draw in a period
	newOwners stream
	allowance float64 // spans that new owners may still draw
	expected  float64 // of kept in a second, at the last settings

	division shares.Division
	members  []shares.Member
	ownerOf  []uint32 // of the groups, and of the calls that draw on each owner
}

// NewController returns a controller. target is in spans per second, 0 for no target.
func NewController(target float64) *Controller {
	return &Controller{target: target, saved: saving * target, period: shortest, allowance: 2 * bursts * burst(target)}
}

// newcomers is what all new series and groups of one owner may draw at once.
func burst(target float64) float64 { return max(newcomerSpans, newcomerShare*target) }

// Start returns the settings to apply before the first call.
func (c *Controller) Start() Defaults {
	if c.target <= 0 {
		return Defaults{Owner: Setting{Limit: NoLimit}}
	}
	return Defaults{Owner: Setting{Limit: limit(burst(c.target))}}
}

// Next computes the settings for the next period from the calls of the last ones. elapsed
// is the time since the last Next. It keeps what it knows in the elements, which the
// caller sets to their zero values when it frees a slot, a group or an owner.
func (c *Controller) Next(elapsed time.Duration, series []Series, groups []Group, owners []Owner) Defaults {
	if c.target <= 0 {
		for i := range series {
			s := &series[i]
			s.Setting, s.Settled = Setting{Threshold: Threshold(s.Max), Limit: NoLimit}, true
		}
		return c.Start()
	}
	seconds := max(elapsed.Seconds(), 0.001)
	c.period = min(longest, max(seconds, c.period+(max(seconds, shortest)-c.period)*0.1))
	c.observe(seconds, series, groups, owners)
	c.settle(series, groups, owners)
	c.divide(series, groups, owners)
	return c.decide(series, groups, owners)
}

// observe updates the estimates and what is left of allowances.
func (c *Controller) observe(seconds float64, series []Series, groups []Group, owners []Owner) {
	var kept float64
	for i := range series {
		s := &series[i]
		if s.Max <= 0 {
			continue
		}
		calls := float64(s.Kept) + float64(s.SampledOut)
		if calls > 0 && s.periods < settling {
			s.periods++
		}
		if calls > newcomerMost {
			s.periods = settling
		}
		s.calls.jump(calls, seconds)
		s.calls.add(calls, seconds)
		kept += float64(s.Kept)
		if calls == 0 {
			continue
		}
		known := s.known
		s.known = true
		if s.Settled {
			continue
		}
		g := &groups[s.Group]
		o := &owners[g.Owner]
		switch {
		case g.Settled:
			g.unsettled.observe(calls, s.Max)
		case o.known:
			o.unsettled.observe(calls, s.Max)
			o.kept += charged(s, known)
		default:
			c.newOwners.observe(calls, s.Max)
			o.kept += charged(s, known)
		}
	}
	for i := range groups {
		groups[i].unsettled.end(seconds)
	}
	refill, full := newcomerShare*c.target, burst(c.target)*bursts
	var kept4new float64
	for i := range owners {
		o := &owners[i]
		o.unsettled.end(seconds)
		if !o.known {
			o.allowance = full
			kept4new += min(o.kept, burst(c.target))
		}
		o.allowance = min(full, max(-full, o.allowance+(refill+o.expected)*seconds-o.kept))
		o.kept = 0
	}
	c.newOwners.end(seconds)
	c.allowance = min(2*full, max(-full, c.allowance+(refill+c.expected)*seconds-kept4new))
	c.saved = min(saving*c.target, max(-owing*c.target, c.saved+c.target*seconds-kept))
}

// charged is what the kept calls of a series that is not settled take from an allowance. A
// new one that floods takes no more than a burst of a few newcomers: the excess is its
// own, and compensated for by the share of its owner.
func charged(s *Series, known bool) float64 {
	if !known {
		return min(float64(s.Kept), newcomerMost)
	}
	return float64(s.Kept)
}

func (s *stream) observe(calls, highest float64) {
	s.count += calls
	s.need += calls * highest
}

func (s *stream) end(seconds float64) {
	if s.count > 0 {
		s.mean = s.need / s.count
	}
	s.calls.add(s.count, seconds)
	s.count, s.need = 0, 0
}

// settle finds which series have a setting of their own.
func (c *Controller) settle(series []Series, groups []Group, owners []Owner) {
	for i := range groups {
		groups[i].lasting = 0
	}
	for i := range owners {
		owners[i].lasting = 0
		owners[i].known = true
	}
	for i := range series {
		s := &series[i]
		if s.lasting() {
			groups[s.Group].lasting++
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
	c.burst = max(newcomerMost, min(burst(c.target), 10*c.target/float64(max(1, lasting))))
	for i := range groups {
		g := &groups[i]
		o := &owners[g.Owner]
		g.equal = c.target / float64(max(1, lasting)) / float64(max(1, o.lasting)) / float64(max(1, g.lasting))
		g.spare = c.burst / float64(max(1, o.lasting))
		g.Settled = g.spare >= 1
		g.spare = min(slack, g.spare/float64(max(1, g.lasting)))
	}
	for i := range series {
		s := &series[i]
		g := &groups[s.Group]
		// Where there are too many for a limit each, the rare ones share one.
		s.Settled = s.lasting() && (g.spare >= 1 || s.calls.peak*s.Max > g.equal)
	}
}

// divide finds the fair shares of the rate that is allowed now.
func (c *Controller) divide(series []Series, groups []Group, owners []Owner) {
	c.members, c.ownerOf = c.members[:0], c.ownerOf[:0]
	for i := range groups {
		c.ownerOf = append(c.ownerOf, groups[i].Owner)
		if need := groups[i].unsettled.rate(); need > 0 {
			c.members = append(c.members, shares.Member{Group: uint32(i), Need: need})
		}
	}
	for i := range owners {
		if need := owners[i].unsettled.rate(); need > 0 {
			c.members = append(c.members, shares.Member{Group: uint32(len(c.ownerOf)), Need: need})
		}
		c.ownerOf = append(c.ownerOf, uint32(i))
	}
	c.members = append(c.members, shares.Member{Group: uint32(len(c.ownerOf)), Need: c.newOwners.rate()})
	c.ownerOf = append(c.ownerOf, uint32(len(owners)))
	for i := range series {
		s := &series[i]
		if s.Settled {
			c.members = append(c.members, shares.Member{Group: s.Group, Need: s.calls.rate * s.Max})
		}
	}
	allowed := min(2*c.target, max(c.target/2, c.target+c.saved))
	c.division.Divide(allowed, c.members, c.ownerOf, len(owners)+1)
}

// rate is what would be kept in a second without a target.
func (s *stream) rate() float64 { return s.calls.rate * s.mean }

func (c *Controller) decide(series []Series, groups []Group, owners []Owner) Defaults {
	level := c.division.Member
	for i := range groups {
		g := &groups[i]
		g.level = level[i]
		g.Setting, _ = c.share(&g.unsettled, g.level, 0)
		g.Limit = limit(float64(g.Limit) + c.burst/float64(max(1, owners[g.Owner].lasting)))
	}
	for i := range owners {
		o := &owners[i]
		o.Setting, o.expected = c.share(&o.unsettled, level[len(groups)+i], max(0, o.allowance))
	}
	for i := range series {
		s := &series[i]
		if s.Max <= 0 {
			continue
		}
		s.Setting = Setting{Threshold: Threshold(s.Max)}
		if g := &groups[s.Group]; s.Settled {
			need, level := s.calls.rate*s.Max, g.level
			if s.calls.silence >= shortWindow {
				// All that are silent may come back at once.
				need, level = s.calls.peak*s.Max, g.equal
			}
			expected := min(need, level)
			s.Limit = limit(2*expected*c.period + g.spare)
			if expected < need {
				s.Threshold = Threshold(s.Max * expected / need)
			}
		}
	}
	var d Defaults
	d.Owner, c.expected = c.share(&c.newOwners, level[len(level)-1], max(0, c.allowance))
	return d
}

// share returns the setting of a stream, and what its fair share of the target is. What is
// left of an allowance comes on top.
func (c *Controller) share(s *stream, level, allowance float64) (Setting, float64) {
	need := s.rate()
	expected := min(need, level)
	setting := Setting{Limit: limit(2*expected*c.period + min(c.burst, allowance))}
	if with := level + allowance; with < need {
		setting.Threshold = Threshold(s.mean * with / need)
	}
	return setting, expected
}

func limit(spans float64) uint32 { return uint32(max(1, min(spans, NoLimit-1))) }
