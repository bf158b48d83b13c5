// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"strconv"
	"strings"
)

// thresholdsMax bounds the cache of thresholds. Few are in use at a time, and they change
// with the load.
const thresholdsMax = 256

// thresholds caches the tracestate of each sampling threshold.
type thresholds map[uint64]string

func (t thresholds) state(threshold uint64) string {
	if known, found := t[threshold]; found {
		return known
	}
	if len(t) >= thresholdsMax {
		clear(t)
	}
	state := tracestate(threshold)
	t[threshold] = state
	return state
}

// tracestate formats a threshold of 56 bits as OpenTelemetry's consistent probability
// sampling specifies: 14 hexadecimal digits without trailing zeros, but at least one
// digit.
func tracestate(threshold uint64) string {
	digits := strings.TrimRight(digits(threshold), "0")
	if digits == "" {
		digits = "0"
	}
	return "ot=th:" + digits
}

// withRandomness adds the randomness, of 56 bits, to a tracestate.
func withRandomness(state string, randomness uint64) string {
	return state + ";rv:" + digits(randomness)
}

// digits returns 56 bits as 14 hexadecimal digits.
func digits(n uint64) string {
	// The bit above the 56 keeps the leading zeros.
	return strconv.FormatUint(1<<56|n&(1<<56-1), 16)[1:]
}
