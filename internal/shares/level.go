// SPDX-License-Identifier: Apache-2.0

package shares

import (
	"math"
	"slices"
)

// Level returns the fair share of a capacity: the sum of the needs, each cut to the
// level, is the capacity. It is infinite if the capacity is enough for all. It sorts needs.
func Level(capacity float64, needs []float64) float64 {
	var sum float64
	for _, need := range needs {
		sum += need
	}
	if sum <= capacity {
		return math.Inf(1)
	}
	slices.Sort(needs)
	for i, need := range needs {
		level := capacity / float64(len(needs)-i)
		if need >= level {
			return max(level, 0)
		}
		capacity -= need
	}
	// Only rounding leads here.
	return needs[len(needs)-1]
}
