// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"fmt"
	"testing"
	"time"
)

// busy is a controller with a number of series that have been called for a while.
func busy(series int) (*Controller, *kernel) {
	k, c := newKernel(1, 500)
	for i := range series {
		if i%100 == 0 {
			k.owner()
		}
		if i%10 == 0 {
			k.group(uint32(len(k.owners) - 1))
		}
		k.newSeries(uint32(len(k.groups)-1), 1)
	}
	for range 20 {
		for id := range k.series {
			k.call(uint32(id), id%17)
		}
		k.control(c, 100*time.Millisecond)
	}
	return c, k
}

func TestNextAllocatesNothing(t *testing.T) {
	c, k := busy(1000)
	if n := testing.AllocsPerRun(10, func() { c.Next(100*time.Millisecond, k.series, k.groups, k.owners) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNext(b *testing.B) {
	for _, n := range []int{10, 2000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c, k := busy(n)
			b.ReportAllocs()
			for b.Loop() {
				for id := range k.series {
					k.series[id].SampledOut = uint32(id % 17)
				}
				c.Next(100*time.Millisecond, k.series, k.groups, k.owners)
			}
		})
	}
}
