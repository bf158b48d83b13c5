// SPDX-License-Identifier: Apache-2.0

package sampling

import "math/bits"

// end is 2^56, one more than the largest randomness.
const end = uint64(1) << 56

// digits is how many bits of a probability a threshold keeps: more than any
// estimate of a rate is worth, and few enough that thresholds repeat.
const digits = 16

// Threshold returns the rejection threshold of a probability: a call is kept
// when its 56 random bits are not below it. A probability of 1 or more keeps
// all; however small it is, at least one random number in 2^56 is kept, so
// that there is always a span to stand for the calls.
func Threshold(probability float64) uint64 {
	if !(probability < 1) {
		return 0
	}
	keep := uint64(1)
	if probability > 0 {
		keep = max(1, uint64(probability*float64(end)))
	}
	if drop := bits.Len64(keep) - digits; drop > 0 {
		keep = (keep + 1<<(drop-1)) >> drop << drop
	}
	return end - min(keep, end)
}

// Probability is the inverse of Threshold.
func Probability(threshold uint64) float64 {
	return float64(end-threshold) / float64(end)
}
