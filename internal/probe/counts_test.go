// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// Where counts are full, calls are counted elsewhere, and those that find nothing are
// accounted for. User space takes counts before they are full.
func TestFullCounts(t *testing.T) {
	p := open(t, Options{Hook: HookAuto})
	p.stopControlLoop()
	const successes = 90 // of 100 calls of a loop
	var want uint64
	call := func() {
		caller.Run(t, caller.Command(t, "loop:100", "OTEL_SERVICE_NAME=full"))
		want += successes
	}
	check := func(what string, noStorage uint64) {
		t.Helper()
		s := snapshot(t, p)
		for i := range s.Series {
			if series := &s.Series[i]; series.Option == unix.SO_TYPE && !series.Overflow && series.Count() != want {
				t.Errorf("%s: %d calls counted, want %d", what, series.Count(), want)
			}
		}
		if s.Counters.NoStorage != noStorage {
			t.Errorf("%s: %d calls not counted, want %d", what, s.Counters.NoStorage, noStorage)
		}
	}
	call()
	check("empty", 0)
	id := slotOf(t, p, unix.SO_TYPE)
	fill := func(cell uint64) {
		for counts := range p.places.countsOf(id) {
			for i := range counts.Cells {
				atomic.AddUint64(&counts.Cells[i], cell)
				want += cell >> callShift
			}
		}
		slow := p.places.slow[int(id)-p.places.firstSlot()].Cells[:]
		for i := range slow {
			atomic.AddUint64(&slow[i], cell)
			want += cell >> callShift
		}
	}
	fill(1 << 63)
	call()
	check("cells full", 0)

	fill(1 << 63)
	buckets := &p.places.series[id].Buckets
	for i := range buckets {
		atomic.AddUint32(&buckets[i], 1<<31)
		want += 1 << 31
	}
	call()
	want -= successes
	check("all full", successes)

	call()
	fill(cellFilling)
	if err := p.places.look(0); err != nil {
		t.Fatal(err)
	}
	if p.places.hasCalls(id) {
		t.Error("counts that are half full are not taken")
	}
	check("half full", successes)
}

func slotOf(t *testing.T, p *Probe, option int32) uint32 {
	t.Helper()
	for id := range p.places.slots {
		if s := &p.places.slots[id]; s.used && s.key.Option == option && s.key.Error == 0 {
			return uint32(id)
		}
	}
	t.Fatalf("option %d has no series", option)
	return 0
}

// Each call is counted in the bucket of the duration that its span has, whichever counts have
// that bucket, and the sum is theirs.
func TestBucketsAreThoseOfTheSpans(t *testing.T) {
	p := open(t, spans(HookAuto))
	c := caller.Command(t, "durations:2000", "OTEL_SERVICE_NAME=durations")
	caller.Run(t, c)
	want := record.Series{Buckets: make([]uint64, histogram.Buckets)}
	var common, slow, slowest int
	for _, call := range drain(t, p, c.Process.Pid).calls {
		bucket := histogram.Index(call.Duration)
		want.Buckets[bucket]++
		want.Sum += call.Duration
		switch at := bucketSlot(bucket); {
		case at < commonBuckets:
			common++
		case at < commonBuckets+len(bpf.GetsockoptSlowCounts{}.Cells):
			slow++
		default:
			slowest++
		}
	}
	t.Logf("%d common, %d slow and %d slowest calls", common, slow, slowest)
	s := snapshot(t, p)
	for i := range s.Series {
		if got := &s.Series[i]; got.Option == unix.SO_GET_FILTER && !got.Overflow {
			if got.Sum != want.Sum || !slices.Equal(got.Buckets, want.Buckets) {
				t.Errorf("counted %d ns in %d, want %d in %d", got.Sum, got.Buckets, want.Sum, want.Buckets)
			}
			return
		}
	}
	t.Error("the calls have no series")
}

// Each shard has the key of a series, all counts are taken, and none is left when the slot is
// free.
func TestCountsOfEachShard(t *testing.T) {
	p := open(t, Options{Hook: HookAuto})
	p.stopControlLoop()
	caller.Run(t, caller.Command(t, "loop:100", "OTEL_SERVICE_NAME=shards"))
	snapshot(t, p)
	id := slotOf(t, p, unix.SO_TYPE)
	for counts := range p.places.countsOf(id) {
		if counts.Key.Option != unix.SO_TYPE {
			t.Fatalf("a shard has the key %+v", counts.Key)
		}
		atomic.AddUint64(&counts.Cells[0], 1<<callShift+70)
	}
	atomic.AddUint64(&p.places.slow[int(id)-p.places.firstSlot()].Cells[0], 1<<callShift+600)
	taken := record.Series{Buckets: make([]uint64, histogram.Buckets)}
	if !p.places.take(id, &taken) || taken.Count() != maxShards+1 || taken.Sum != maxShards*70+600 {
		t.Errorf("took %d calls of %d ns, want %d of %d", taken.Count(), taken.Sum, maxShards+1, maxShards*70+600)
	}
	if err := p.places.freeSlots([]uint32{id}, true); err != nil {
		t.Fatal(err)
	}
	for counts := range p.places.countsOf(id) {
		if *keyWords(counts) != [2]uint64{noKey, noKey} {
			t.Errorf("a shard of a free slot has the key %+v", counts.Key)
		}
	}
}
