// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/bpf"
)

// fillSlots gives n slots to series, as the kernel does.
func fillSlots(p *places, n int) {
	for i := range n {
		id := uint32(p.firstSlot() + i)
		for counts := range p.countsOf(id) {
			counts.Key = bpf.GetsockoptSeriesKey{Level: 1, Option: int32(i)}
			p.series[id].KeyHash = keyHash(*keyWords(counts))
		}
	}
	p.shares.FreeSlots -= int64(n)
}

// BenchmarkControl is what the control loop does each time.
func BenchmarkControl(b *testing.B) {
	for _, limit := range []int{2000, 10_000, 100_000} {
		for _, used := range []int{20, limit * 3 / 4} {
			for _, calls := range []int{0, used / 10} {
				b.Run(fmt.Sprintf("limit=%d/series=%d/calling=%d", limit, used, calls), func(b *testing.B) {
					o := spans(HookAuto)
					o.SpansPerSecond, o.SeriesLimit, o.GroupLimit = 100, limit, max(1023, limit/2)
					p, err := Start(b.Context(), o)
					if err != nil {
						b.Fatal(err)
					}
					defer p.Close()
					p.stopControlLoop()
					fillSlots(p.places, used)
					for b.Loop() {
						if calls > 0 {
							p.seen-- // whatever it was, there were calls since
						}
						for i := range calls {
							for counts := range p.places.countsOf(uint32(p.places.firstSlot() + i*10)) {
								counts.Cells[0] += 1<<callShift + 100
								counts.SampledOut++
							}
						}
						if _, err := p.adjust(100 * time.Millisecond); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
