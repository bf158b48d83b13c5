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
// Limit, the probability is multiplied by (Limit/kept)^3.
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

	calls estimate
}

// Group shares a Setting among those of its series that are not settled.
type Group struct {
	Owner uint32 // indexes the owners
	Setting
	// Settled is false for a new group, and where an owner has too many groups to give
	// each a limit: its series then draw on the Setting of the owner.
	Settled bool

	unsettled stream
	active    int // settled series
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
	active    int     // groups with settled series
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
	saving, owing = 1, 0.5
	// newcomers may draw newcomerShare of a second's target at once, and as much again
	// each second, but at least newcomerSpans.
	newcomerShare = 0.1
	newcomerSpans = 20
	// slack is what a settled series may draw beyond twice what is expected of it.
	slack = 10
	// A settled series has at least activeRate calls a second.
	activeRate = 0.1
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
	newOwners stream
	allowance float64 // spans that new owners may still draw
	kept      float64 // by series of new owners
	expected  float64 // of kept in a second, at the last settings

	division shares.Division
	members  []shares.Member
	ownerOf  []uint32 // of the groups, and of the calls that draw on each owner
}

// NewController returns a controller. target is in spans per second, 0 for no target.
func NewController(target float64) *Controller {
	return &Controller{target: target, saved: saving * target, period: shortest, allowance: newcomers(target)}
}

// newcomers is what all new series and groups of one owner may draw at once.
func newcomers(target float64) float64 { return max(newcomerSpans, newcomerShare*target) }

// Start returns the settings to apply before the first call.
func (c *Controller) Start() Defaults {
	if c.target <= 0 {
		return Defaults{Owner: Setting{Limit: NoLimit}}
	}
	return Defaults{Owner: Setting{Limit: limit(newcomers(c.target))}}
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
		s.calls.add(calls, seconds)
		kept += float64(s.Kept)
		if s.Settled || calls == 0 {
			continue
		}
		g := &groups[s.Group]
		o := &owners[g.Owner]
		switch {
		case g.Settled:
			g.unsettled.observe(calls, s.Max)
			o.kept += float64(s.Kept)
		case o.known:
			o.unsettled.observe(calls, s.Max)
			o.kept += float64(s.Kept)
		default:
			c.newOwners.observe(calls, s.Max)
			c.kept += float64(s.Kept)
		}
	}
	for i := range groups {
		groups[i].unsettled.end(seconds)
	}
	full := newcomers(c.target)
	for i := range owners {
		o := &owners[i]
		o.unsettled.end(seconds)
		if !o.known {
			o.allowance = full
		}
		o.allowance = min(full, max(-full, o.allowance+(full+o.expected)*seconds-o.kept))
		o.kept = 0
	}
	c.newOwners.end(seconds)
	c.allowance = min(4*full, max(-full, c.allowance+(full+c.expected)*seconds-c.kept))
	c.kept = 0
	c.saved = min(saving*c.target, max(-owing*c.target, c.saved+c.target*seconds-kept))
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

// settle counts who is active.
func (c *Controller) settle(series []Series, groups []Group, owners []Owner) {
	for i := range groups {
		groups[i].active = 0
	}
	for i := range owners {
		owners[i].active = 0
		owners[i].known = true
	}
	for i := range series {
		s := &series[i]
		if s.Max > 0 && s.calls.rate >= activeRate {
			groups[s.Group].active++
		}
	}
	for i := range groups {
		if groups[i].active > 0 {
			owners[groups[i].Owner].active++
		}
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
		if s.Max > 0 && s.calls.rate >= activeRate {
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
		o := &owners[g.Owner]
		left := max(o.allowance, 0) / float64(max(1, o.active))
		g.Settled = left >= 1
		g.Setting, _ = c.share(&g.unsettled, level[i], left)
	}
	for i := range owners {
		o := &owners[i]
		o.Setting, o.expected = c.share(&o.unsettled, level[len(groups)+i], max(o.allowance, 0))
	}
	for i := range groups {
		owners[groups[i].Owner].expected += min(groups[i].unsettled.rate(), level[i])
	}
	for i := range series {
		s := &series[i]
		if s.Max <= 0 {
			continue
		}
		g := &groups[s.Group]
		o := &owners[g.Owner]
		need := s.calls.rate * s.Max
		expected := min(need, level[s.Group])
		left := min(slack, newcomers(c.target)/float64(max(1, o.active))/float64(max(1, g.active)))
		s.Settled = s.calls.rate >= activeRate && (left >= 1 || expected*c.period >= 1)
		s.Setting = Setting{Threshold: Threshold(s.Max), Limit: limit(2*expected*c.period + left)}
		if expected < need {
			s.Threshold = Threshold(s.Max * expected / need)
		}
	}
	var d Defaults
	d.Owner, c.expected = c.share(&c.newOwners, level[len(level)-1], min(newcomers(c.target), max(c.allowance, 0)))
	return d
}

// share returns the setting of a stream, and what it will keep in a second.
func (c *Controller) share(s *stream, level, allowance float64) (Setting, float64) {
	need := s.rate()
	expected := min(need, level)
	setting := Setting{Limit: limit(2*expected*c.period + allowance)}
	if expected < need {
		setting.Threshold = Threshold(s.mean * expected / need)
	}
	return setting, expected
}

func limit(spans float64) uint32 { return uint32(max(1, min(spans, NoLimit-1))) }
