// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// host is a kernel, a builder and a backend for as many collections as a test likes.
type host struct {
	t       *testing.T
	random  *rand.Rand
	kernel  *kernel
	builder *Builder
	backend *backend

	uptime  time.Duration
	step    time.Duration // of the wall clock
	process bool          // grouped by process
	quiet   bool          // no program does anything
}

func newHost(t *testing.T, seed uint64, expiration time.Duration, steps, process bool) *host {
	random := rand.New(rand.NewPCG(seed, 1))
	return &host{
		t: t, random: random, kernel: newKernel(random, 40), backend: newBackend(t, steps), process: process,
		builder: New(Options{Resource: resources(), Start: start, Enabled: all, Expiration: expiration, MaxBytes: 2000}),
	}
}

// live lets programs make calls, begin and end, and takes slots and groups from them.
func (h *host) live() {
	if h.quiet {
		return
	}
	for range h.random.IntN(40) {
		ids := slices.Sorted(maps.Keys(h.kernel.groups))
		switch n := h.random.IntN(100); {
		case n < 4 || len(ids) == 0:
			if len(ids) < 12 {
				h.kernel.start(fmt.Sprint("service ", h.random.IntN(6)), h.process)
			}
		case n < 8:
			if keys := h.kernel.sortedSlots(); len(keys) > 0 {
				h.kernel.evict(keys[h.random.IntN(len(keys))])
			}
		case n < 9:
			h.kernel.evictGroup(ids[h.random.IntN(len(ids))])
		case n < 12:
			g := h.kernel.groups[ids[h.random.IntN(len(ids))]]
			g.runs, g.ended = false, h.process
		case n < 15:
			h.kernel.call(1 << 30) // found no group
		default:
			h.kernel.call(ids[h.random.IntN(len(ids))])
		}
	}
}

// collect makes a collection. While the consumer has a batch, snapshots go on. likely is how
// often it accepts one, in percent.
func (h *host) collect(likely int) {
	h.uptime += 10 * time.Second
	h.add()
	total := h.builder.Calls()
	h.backend.collection()
	batches := h.builder.Build(nil, start.Add(h.uptime+h.step))
	if sent := callsIn(batches); sent != total.Sent {
		h.t.Fatalf("%d calls are sent, accounted for as %d", sent, total.Sent)
	}
	for _, batch := range batches {
		accepted := h.random.IntN(100) < likely
		h.backend.offer(batch.Metrics, accepted)
		if h.random.IntN(4) == 0 {
			h.live()
			h.add()
		}
		h.builder.Done(batch, accepted)
	}
	now := h.builder.Calls()
	if in := h.taken(); now.Sent+now.Expired != in {
		h.t.Fatalf("%d calls sent and %d expired, of %d", now.Sent, now.Expired, in)
	}
	series, groups := h.builder.Expire()
	if err := h.kernel.remove(series, groups); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) add() {
	s := h.kernel.snapshot()
	h.builder.Add(s, h.uptime)
	for key := range h.builder.slots {
		if h.kernel.slots[key] == nil {
			h.t.Fatalf("%+v has points, and no slot", key)
		}
	}
	h.checkBounds()
}

// taken is how many calls were in snapshots.
func (h *host) taken() uint64 {
	return h.kernel.made.calls - h.kernel.waiting()
}

func (h *host) checkBounds() {
	var points [metricCount]int
	for _, r := range h.builder.resources {
		for m := range points {
			points[m] += len(r.points[m])
		}
	}
	groups := len(h.builder.groups)
	if groups > len(h.kernel.groups) {
		h.t.Fatalf("%d groups, the kernel has %d", groups, len(h.kernel.groups))
	}
	for m, n := range points {
		if limit := len(h.builder.slots) + groups + 1; n > limit {
			h.t.Fatalf("metric %d has %d points of %d slots and %d groups", m, n, len(h.builder.slots), groups)
		}
	}
	if n := len(h.builder.resources); n > groups+1 {
		h.t.Fatalf("%d resources of %d groups", n, groups)
	}
}

func callsIn(batches []Batch) (n uint64) {
	for _, batch := range batches {
		eachPoint(batch.Metrics, func(_, metric string, _, _ pcommon.Timestamp, v value) {
			if metric == "socket.getsockopt.calls" {
				n += v.count
			}
		})
	}
	return n
}

// TestEachCallIsSentOnce lets random programs run on a random kernel, before a backend that
// refuses now and then. At the end it accepts everything, and must have each call once.
func TestEachCallIsSentOnce(t *testing.T) {
	for seed := range uint64(20) {
		steps, process := seed%3 == 1, seed%2 == 1
		expiration := []time.Duration{0, 20 * time.Second, 60 * time.Second}[seed%5%3]
		t.Run(fmt.Sprintf("seed %d expiration %v steps %t process %t", seed, expiration, steps, process), func(t *testing.T) {
			h := newHost(t, seed, expiration, steps, process)
			for round := range 150 {
				likely := []int{100, 80, 0}[round/10%3]
				if steps && h.random.IntN(10) == 0 {
					h.step = time.Duration(h.random.Int64N(600e9) - 300e9)
				}
				if round%25 < 20 {
					h.live()
				}
				h.collect(likely)
			}
			h.collect(100)
			h.uptime += time.Second
			h.collect(100)
			h.backend.collection()
			batches := h.builder.Build(nil, start.Add(h.uptime+h.step+time.Second))
			for _, batch := range batches {
				h.backend.offer(batch.Metrics, true)
				h.builder.Done(batch, true)
			}
			got, gone := h.backend.totals()
			want := h.kernel.made
			want.durations = want.calls
			if got != want {
				t.Errorf("accepted\n%+v\nwant\n%+v", got, want)
			}
			if expired := h.builder.Calls().Expired; gone != expired {
				t.Errorf("%d calls are in points that are gone, accounted for as %d", gone, expired)
			}
			if expiration > 0 && h.builder.Calls().Expired == 0 {
				t.Error("nothing has expired")
			}
		})
	}
}

// What is gone leaves nothing: after the last expiration only the overflow of no group may
// have been, and the kernel is empty.
func TestNothingIsLeftOfWhatExpired(t *testing.T) {
	for _, process := range []bool{false, true} {
		h := newHost(t, 7, 20*time.Second, false, process)
		for range 100 {
			h.live()
			h.collect(90)
		}
		for _, g := range h.kernel.groups {
			g.runs, g.ended = false, process
		}
		h.quiet = true
		for range 4 {
			h.collect(100)
		}
		b := h.builder
		if len(b.slots) != 0 || len(b.groups) != 0 || len(b.resources) != 1 || !b.unnamed.empty() || len(h.kernel.slots) != 0 || len(h.kernel.groups) != 0 {
			t.Errorf("left are %d series, %d groups, %d resources; in the kernel %d slots and %d groups",
				len(b.slots), len(b.groups), len(b.resources), len(h.kernel.slots), len(h.kernel.groups))
		}
		if calls := b.Calls(); calls.Sent != 0 || calls.Expired != h.kernel.made.calls {
			t.Errorf("%+v of %d calls", calls, h.kernel.made.calls)
		}
	}
}
