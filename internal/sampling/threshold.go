// SPDX-License-Identifier: Apache-2.0

package sampling

import "math/bits"

// end is 2^56, one more than the largest randomness.
const end = uint64(1) << 56

// digits is the precision of a threshold in bits: more than that of an estimated rate,
// and few enough that thresholds repeat.
const digits = 16

// Threshold returns the rejection threshold of a probability, 0 to 2^56-1: a call is kept
// if its 56 random bits are not below it. A probability of 1 or more keeps all calls.
// However small it is, at least one random number of 2^56 is kept, so that every
// threshold has a weight.
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

// Probability is the inverse of [Threshold], up to its precision. The receiver does not
// need it: it is the reference by which tests check the weights that backends compute.
func Probability(threshold uint64) float64 {
	return float64(end-threshold) / float64(end)
}
