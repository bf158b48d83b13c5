// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"math"
	"time"
)

// The classes of calls: those to keep always (failed and slow ones, as
// configured), and the rest.
const (
	Rest = iota
	Always
	Classes
)

const (
	// smoothing is the time constant of the estimated rates, one period of the
	// kernel's: load that comes and goes within seconds is followed, and what a
	// period's noise makes of the rate is paid back from the savings.
	smoothing = 100 * time.Millisecond
	// jump is how much faster than estimated calls must come to be believed at
	// once. Noise of a steady load stays far below it.
	jump = 2
	// share of the target that the rest keeps when the other class fills it:
	// a class without spans could not be counted with.
	share = 0.05
	// step is how much of a second's target is kept at each halving within a
	// period. Fewer spans would make a burst's weights say little.
	step = 0.25
	// floor and ceiling bound what past savings and debts make of the target.
	// A lower floor would pay debts back sooner, with so few spans in the
	// meantime that their weights would say little.
	floor, ceiling = 0.5, 2
)

// Count is what one class did since the probe started.
type Count struct {
	Kept       uint64 // calls that sampling kept
	SampledOut uint64 // calls that it did not
}

// Setting is what the kernel applies to one class until the next one.
type Setting struct {
	Threshold uint64
	// Limit is the total of kept calls after which the kernel itself halves
	// what it keeps, and again after each further Step: what stands between
	// two settings when a burst comes.
	Limit, Step uint64
}

// Controller moves the thresholds so that spans come at a target rate. Savings
// of up to one second's budget are kept for bursts, debts are paid back: over
// time the rate is met, not only approached.
type Controller struct {
	ratio  float64
	target float64 // spans a second; 0: no target
	last   [Classes]Count
	rate   [Classes]float64 // estimated calls a second
	saved  float64          // spans; negative: owed
}

// NewController starts with a full second's savings. ratio, 0 to 1, is the
// most that is kept of the rest; target is in spans a second, 0 for no target.
func NewController(ratio, target float64) *Controller {
	return &Controller{ratio: ratio, target: target, saved: target}
}

// Start is the setting before the first call.
func (c *Controller) Start() [Classes]Setting {
	return c.settings(c.probabilities(), 0)
}

// Next tells the settings for the coming period from what the one that took
// elapsed did. Counts are totals and never go back.
func (c *Controller) Next(elapsed time.Duration, now [Classes]Count) [Classes]Setting {
	seconds := elapsed.Seconds()
	if c.target > 0 && seconds > 0 {
		var kept float64
		for class := range now {
			k := float64(now[class].Kept - c.last[class].Kept)
			arrived := (k + float64(now[class].SampledOut-c.last[class].SampledOut)) / seconds
			kept += k
			if arrived > jump*c.rate[class] {
				c.rate[class] = arrived
			} else {
				c.rate[class] += (arrived - c.rate[class]) * (1 - math.Exp(-seconds/smoothing.Seconds()))
			}
		}
		c.saved = min(c.target, max((floor-1)*c.target, c.saved+c.target*seconds-kept))
	}
	c.last = now
	return c.settings(c.probabilities(), seconds)
}

func (c *Controller) probabilities() [Classes]float64 {
	p := [Classes]float64{Rest: c.ratio, Always: 1}
	if c.target <= 0 {
		return p
	}
	allowed := min(ceiling*c.target, max(floor*c.target, c.target+c.saved))
	if c.rate[Always] > c.target {
		forAlways := allowed
		if c.rate[Rest] > 0 {
			forAlways -= share * c.target
		}
		p[Always] = min(1, forAlways/c.rate[Always])
	}
	rest := max(share*c.target, allowed-p[Always]*c.rate[Always])
	if c.rate[Rest] > rest {
		p[Rest] = min(c.ratio, rest/c.rate[Rest])
	}
	return p
}

func (c *Controller) settings(p [Classes]float64, seconds float64) [Classes]Setting {
	var s [Classes]Setting
	for class := range s {
		s[class] = Setting{Threshold: Threshold(p[class]), Limit: math.MaxUint64, Step: 1}
		if c.target > 0 {
			// Twice a period's target leaves room for chance.
			allowance := max(c.saved, 0) + 2*c.target*seconds + 1
			s[class].Limit = c.last[class].Kept + uint64(allowance)
			s[class].Step = max(1, uint64(c.target*step))
		}
	}
	return s
}
