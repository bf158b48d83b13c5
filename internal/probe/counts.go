// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"iter"
	"sync/atomic"
	"unsafe"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

const (
	// callShift and commonBuckets are CALL_SHIFT and COMMON_BUCKETS of bpf/records.h.
	callShift     = 38
	commonBuckets = len(bpf.GetsockoptSeriesCounts{}.Cells)
	// The numbers of a slot are taken at the next look when a cell is half full, or when its
	// other calls lasted so long that a bucket may be: 2^30 ns are at most as many calls.
	cellFilling = 1 << 62
	sumFilling  = 1 << 30 // ns
)

// countsOf are the counts of a slot for the CPUs. A slot of overflow has none.
func (p *places) countsOf(id uint32) iter.Seq[*bpf.GetsockoptSeriesCounts] {
	return func(yield func(*bpf.GetsockoptSeriesCounts) bool) {
		for i := int(id) - p.firstSlot(); i >= 0 && i < len(p.counts); i += p.limit() {
			if !yield(&p.counts[i]) {
				return
			}
		}
	}
}

// keyWords are the two halves of a key, as the kernel compares them.
func keyWords(counts *bpf.GetsockoptSeriesCounts) *[2]uint64 {
	return (*[2]uint64)(unsafe.Pointer(&counts.Key))
}

// clearKey makes a slot that of no series.
func (p *places) clearKey(id uint32) {
	for counts := range p.countsOf(id) {
		words := keyWords(counts)
		atomic.StoreUint64(&words[0], noKey)
		atomic.StoreUint64(&words[1], noKey)
	}
	atomic.StoreUint64(&p.series[id].KeyHash, 0)
}

// counted returns a number that changes with each call in a slot, and whether its numbers
// are to be taken before the next snapshot. A call of 0 ns may be left out, which only a
// coarse clock makes.
func (p *places) counted(id uint32) (counted uint64, filling bool) {
	counted = atomic.LoadUint64(&p.series[id].Sum)
	filling = counted >= sumFilling
	// Without the iterator: this is most of what the control loop costs.
	for at := int(id) - p.firstSlot(); at >= 0 && at < len(p.counts); at += p.limit() {
		sum, all := sumCells(p.counts[at].Cells[:])
		counted += sum
		filling = filling || all >= cellFilling
	}
	if at := int(id) - p.firstSlot(); at >= 0 {
		sum, all := sumCells(p.slow[at].Cells[:])
		counted += sum
		filling = filling || all >= cellFilling
	}
	return counted, filling
}

// sumCells returns the sum of cells, and the bits that any of them has.
func sumCells(cells []uint64) (sum, all uint64) {
	for i := range cells {
		cell := atomic.LoadUint64(&cells[i])
		sum += cell
		all |= cell
	}
	return sum, all
}

// hasCalls reports whether a slot has counted calls since they were taken last.
func (p *places) hasCalls(id uint32) bool {
	if counted, _ := p.counted(id); counted != 0 {
		return true
	}
	slot := &p.series[id]
	for i := range slot.Buckets {
		if atomic.LoadUint32(&slot.Buckets[i]) != 0 {
			return true
		}
	}
	return false
}

// take adds the calls that a slot has counted to a series, and reports whether there are
// any. The duration of a call that is not common may come with the next take.
func (p *places) take(id uint32, to *record.Series) (called bool) {
	p.slots[id].counted = 0
	for counts := range p.countsOf(id) {
		called = takeCells(counts.Cells[:], 0, to) || called
	}
	if at := int(id) - p.firstSlot(); at >= 0 {
		called = takeCells(p.slow[at].Cells[:], commonBuckets, to) || called
	}
	slot := &p.series[id]
	if atomic.LoadUint64(&slot.Sum) != 0 {
		to.Sum += atomic.SwapUint64(&slot.Sum, 0)
		called = true
	}
	for i := range slot.Buckets {
		if atomic.LoadUint32(&slot.Buckets[i]) != 0 {
			to.Buckets[bucketAt(i)] += uint64(atomic.SwapUint32(&slot.Buckets[i], 0))
			called = true
		}
	}
	return called
}

// takeCells adds the calls of cells, of which the first is that of a bucket, to a series.
func takeCells(cells []uint64, first int, to *record.Series) (called bool) {
	for i := range cells {
		if atomic.LoadUint64(&cells[i]) != 0 {
			cell := atomic.SwapUint64(&cells[i], 0)
			to.Buckets[bucketAt(first+i)] += cell >> callShift
			to.Sum += cell & (1<<callShift - 1)
			called = true
		}
	}
	return called
}
