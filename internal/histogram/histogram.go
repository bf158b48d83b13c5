// SPDX-License-Identifier: Apache-2.0

package histogram

import (
	"math/big"
	"sort"
	"sync"
)

const (
	// Scale is OpenTelemetry's scale: bounds grow by a factor of 2^(1/4), 19 %.
	Scale = 2
	// Offset is OpenTelemetry's index of bucket 0, which holds 1 ns.
	Offset = -120
	// Buckets is the number of buckets. They reach from 1 ns to 107.6 s; the last one also
	// holds all longer durations.
	Buckets = 148
)

// Uppers returns the inclusive upper bound of each bucket but the last, in
// nanoseconds: floor(2^((Offset+i+1)/4) * 1e9). An integer number of
// nanoseconds exceeds the real bound exactly when it exceeds its floor, so
// integer comparison is exact. It must not be changed.
var Uppers = sync.OnceValue(func() *[Buckets - 1]uint64 {
	var uppers [Buckets - 1]uint64
	for i := range uppers {
		uppers[i] = bound(Offset + i + 1)
	}
	return &uppers
})

// bound returns floor(2^(i/4) * 1e9) by integer roots: the fourth root of
// 2^i * 1e36, where a negative i divides, so that no rounding error of a
// logarithm can change a bound.
func bound(i int) uint64 {
	n := new(big.Int).Exp(big.NewInt(10), big.NewInt(36), nil)
	if i >= 0 {
		n.Lsh(n, uint(i))
	} else {
		n.Rsh(n, uint(-i)) // floor(root(floor(x))) == floor(root(x))
	}
	return n.Sqrt(n.Sqrt(n)).Uint64()
}

// Index returns the bucket of a duration in nanoseconds, 0 to Buckets-1. It is the
// reference for the search in bpf/histogram.h. A duration of 0, which only the resolution
// of a clock can cause, is in the first bucket.
func Index(ns uint64) int {
	uppers := Uppers()
	return sort.Search(len(uppers), func(i int) bool { return ns <= uppers[i] })
}

// Trim removes empty buckets at both ends.
func Trim(buckets []uint64) (first int, used []uint64) {
	end := len(buckets)
	for first < end && buckets[first] == 0 {
		first++
	}
	for end > first && buckets[end-1] == 0 {
		end--
	}
	return first, buckets[first:end]
}
