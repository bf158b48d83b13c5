// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"math"
	"time"
)

// The sampling classes, which have a threshold each.
const (
	ClassRest       = iota // all other calls
	ClassAlwaysKeep        // failed and slow calls, as configured
	Classes                // the number of classes
)

const (
	// smoothing is the time constant of the estimated rates, one control period: load
	// that changes within seconds is followed, and the savings compensate for the noise
	// of single periods.
	smoothing = 100 * time.Millisecond
	// jump is the factor above the estimated rate from which a measured rate replaces
	// the estimate at once. The noise of a steady load stays far below it.
	jump = 2
	// share of the target that stays reserved for ClassRest if ClassAlwaysKeep uses up
	// the target: the number of calls of a class without spans cannot be estimated.
	share = 0.05
	// step is the share of a second's target that is kept between two halvings within a
	// period. Fewer spans would make estimates of a burst inaccurate.
	step = 0.25
	// floor and ceiling bound how far savings and debts move the target. A lower floor
	// would pay debts back sooner, with too few spans in the meantime for accurate
	// estimates.
	floor, ceiling = 0.5, 2
)

// Count is the calls of one class since the probe started. They only grow.
type Count struct {
	Kept       uint64 // calls that sampling kept
	SampledOut uint64 // calls that it did not
}

// ClassSetting is what the BPF programs apply to one class until the next setting.
type ClassSetting struct {
	// Threshold of 56 bits: a call is kept if its randomness is not below it.
	Threshold uint64
	// Limit is the Count.Kept from which the BPF programs halve the probability
	// themselves, and again after each further Step calls. This bounds a burst between
	// two settings.
	Limit, Step uint64
}

// ClassController is the control loop that adjusts the thresholds to keep to a target rate of
// spans. It saves up to one second's target for bursts and compensates for excess, so
// that the rate is met over time. It is not safe for concurrent use.
type ClassController struct {
	ratio  float64
	target float64 // spans a second; 0: no target
	last   [Classes]Count
	rate   [Classes]float64 // estimated calls a second
	saved  float64          // spans; negative: excess to compensate for
}

// NewClassController returns a controller with the savings of a full second. ratio, 0 to 1, is
// the highest probability of ClassRest. target is in spans per second, 0 for no target.
func NewClassController(ratio, target float64) *ClassController {
	return &ClassController{ratio: ratio, target: target, saved: target}
}

// Start returns the settings to apply before the first call, indexed by class.
func (c *ClassController) Start() [Classes]ClassSetting {
	return c.settings(c.probabilities(), 0)
}

// Next returns the settings for the next period, indexed by class. elapsed is the length
// of the last period, and now the counts at its end, which never decrease.
func (c *ClassController) Next(elapsed time.Duration, now [Classes]Count) [Classes]ClassSetting {
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

func (c *ClassController) probabilities() [Classes]float64 {
	p := [Classes]float64{ClassRest: c.ratio, ClassAlwaysKeep: 1}
	if c.target <= 0 {
		return p
	}
	allowed := min(ceiling*c.target, max(floor*c.target, c.target+c.saved))
	if c.rate[ClassAlwaysKeep] > c.target {
		forAlways := allowed
		if c.rate[ClassRest] > 0 {
			forAlways -= share * c.target
		}
		p[ClassAlwaysKeep] = min(1, forAlways/c.rate[ClassAlwaysKeep])
	}
	rest := max(share*c.target, allowed-p[ClassAlwaysKeep]*c.rate[ClassAlwaysKeep])
	if c.rate[ClassRest] > rest {
		p[ClassRest] = min(c.ratio, rest/c.rate[ClassRest])
	}
	return p
}

func (c *ClassController) settings(p [Classes]float64, seconds float64) [Classes]ClassSetting {
	var s [Classes]ClassSetting
	for class := range s {
		s[class] = ClassSetting{Threshold: Threshold(p[class]), Limit: math.MaxUint64, Step: 1}
		if c.target > 0 {
			// Twice a period's target allows for random variation.
			allowance := max(c.saved, 0) + 2*c.target*seconds + 1
			s[class].Limit = c.last[class].Kept + uint64(allowance)
			s[class].Step = max(1, uint64(c.target*step))
		}
	}
	return s
}
