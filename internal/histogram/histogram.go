// SPDX-License-Identifier: Apache-2.0

package histogram

import (
	"math/big"
	"sort"
	"sync"
)

const (
	// Scale gives buckets that grow by 2^(1/4), 19 %.
	Scale = 2
	// Offset is the OpenTelemetry index of bucket 0, the one that holds 1 ns.
	Offset = -120
	// Buckets reach from 1 ns to 107.6 s; the last one also takes all that is longer.
	Buckets = 148
)

// Uppers returns the inclusive upper bound of every bucket but the last, in
// nanoseconds: floor(2^((Offset+i+1)/4) * 1e9). An integer number of
// nanoseconds exceeds the real bound exactly when it exceeds its floor, so
// integer comparison is exact.
var Uppers = sync.OnceValue(func() [Buckets - 1]uint64 {
	var uppers [Buckets - 1]uint64
	for i := range uppers {
		uppers[i] = bound(Offset + i + 1)
	}
	return uppers
})

// bound returns floor(2^(i/4) * 1e9) by integer roots: the fourth root of
// 2^i * 1e36, where a negative i divides, so that no rounding error of a
// logarithm can move a bound.
func bound(i int) uint64 {
	n := new(big.Int).Exp(big.NewInt(10), big.NewInt(36), nil)
	if i >= 0 {
		n.Lsh(n, uint(i))
	} else {
		n.Rsh(n, uint(-i)) // floor(root(floor(x))) == floor(root(x))
	}
	return n.Sqrt(n.Sqrt(n)).Uint64()
}

// Index returns the bucket of a duration in nanoseconds, the reference for the
// kernel's search. Zero, which a clock can yield but a call cannot take, counts
// as the shortest duration there is.
func Index(ns uint64) int {
	uppers := Uppers()
	return sort.Search(len(uppers), func(i int) bool { return ns <= uppers[i] })
}
