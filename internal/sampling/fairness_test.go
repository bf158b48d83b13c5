// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// A rare failure is whole beside whatever others do: call as fast as they can, and invent
// series, services and cgroups.
func TestRareFailuresAreWhole(t *testing.T) {
	type rare struct {
		every time.Duration
		calls int // at once
	}
	floods := map[string]func(k *kernel, noisy uint32) []source{
		"a flood": func(k *kernel, noisy uint32) []source { return []source{k.flood(k.group(noisy))} },
		"invented series": func(k *kernel, noisy uint32) []source {
			group := k.group(noisy)
			var ids []uint32
			return []source{k.flood(group), func(time.Duration) (spans int) {
				if len(ids) < 500 {
					ids = append(ids, k.newSeries(group, 1))
				}
				for _, id := range ids {
					spans += k.call(id, 6)
				}
				return spans
			}}
		},
		"invented services": func(k *kernel, noisy uint32) []source {
			return []source{k.flood(k.group(noisy)), func(time.Duration) (spans int) {
				for range 3 {
					spans += k.call(k.newSeries(k.group(noisy), 1), 2)
				}
				return spans
			}}
		},
		"invented cgroups": func(k *kernel, noisy uint32) []source {
			return []source{k.flood(k.group(noisy)), func(time.Duration) int {
				return k.call(k.newSeries(k.group(k.owner()), 1), 10)
			}}
		},
	}
	for name, flood := range floods {
		for _, target := range []float64{100, 500} {
			for _, sameOwner := range []bool{false, true} {
				for _, r := range []rare{{500 * time.Millisecond, 1}, {5 * time.Second, 10}} {
					if r.calls > 1 && name != "a flood" && name != "invented series" {
						// Among invented services nothing tells the first burst of a new
						// one from theirs.
						continue
					}
					t.Run(fmt.Sprintf("%s, target %v, same cgroup %v, %d at once", name, target, sameOwner, r.calls), func(t *testing.T) {
						for seed := range uint64(3) {
							k, c := newKernel(seed, target)
							noisy := k.owner()
							sources := flood(k, noisy)
							victims := make([]uint32, 5)
							for v := range victims {
								begin := 2*time.Second + time.Duration(v)*130*time.Millisecond
								sources = append(sources, func(at time.Duration) int {
									since := at - begin
									if since < 0 || since >= 10*time.Second || since%r.every >= tick {
										return 0
									}
									if since < tick {
										owner := noisy
										if !sameOwner {
											owner = k.owner()
										}
										victims[v] = k.newSeries(k.group(owner), 1)
									}
									return k.call(victims[v], r.calls)
								})
							}
							spans := k.run(c, 14*time.Second, everyPeriod, sources...)
							for _, id := range victims {
								if k.slots[id].calls != 20 || k.slots[id].whole < 19 {
									t.Errorf("seed %d: of %d failures %d are spans with the threshold 0", seed, k.slots[id].calls, k.slots[id].whole)
								}
							}
							k.expectTarget(t, target, spans[4:])
						}
					})
				}
			}
		}
	}
}

// What one cgroup invents does not get it more than its share: beside another that needs
// more than half of the target, it has half.
func TestInventingGetsNoMoreThanAShare(t *testing.T) {
	const target = 200
	for name, invent := range map[string]func(k *kernel, owner uint32) source{
		"series": func(k *kernel, owner uint32) source {
			group := k.group(owner)
			return func(time.Duration) int { return k.call(k.newSeries(group, 1), 20) }
		},
		"services": func(k *kernel, owner uint32) source {
			return func(time.Duration) (spans int) {
				for range 3 {
					spans += k.call(k.newSeries(k.group(owner), 1), 2)
				}
				return spans
			}
		},
		"services that flood": func(k *kernel, owner uint32) source {
			return func(time.Duration) int { return k.call(k.newSeries(k.group(owner), 1), 3000) }
		},
		"series that flood, now and then": func(k *kernel, owner uint32) source {
			group := k.group(owner)
			return func(at time.Duration) int {
				if at%(300*time.Millisecond) != 0 {
					return 0
				}
				return k.call(k.newSeries(group, 1), 30_000)
			}
		},
		"services that flood, now and then": func(k *kernel, owner uint32) source {
			return func(at time.Duration) int {
				if at%(300*time.Millisecond) != 0 {
					return 0
				}
				return k.call(k.newSeries(k.group(owner), 1), 30_000)
			}
		},
		"cgroups that flood, now and then": func(k *kernel, _ uint32) source {
			return func(at time.Duration) int {
				if at%(300*time.Millisecond) != 0 {
					return 0
				}
				return k.call(k.newSeries(k.group(k.owner()), 1), 30_000)
			}
		},
		"a series that floods now and then": func(k *kernel, owner uint32) source {
			id := k.newSeries(k.group(owner), 1)
			return func(at time.Duration) int {
				if at%(400*time.Millisecond) != 0 {
					return 0
				}
				return k.call(id, 30_000)
			}
		},
		"many series that go on": func(k *kernel, owner uint32) source {
			group := k.group(owner)
			var ids []uint32
			for range 1000 {
				ids = append(ids, k.newSeries(group, 1))
			}
			return func(time.Duration) (spans int) {
				for _, id := range ids {
					spans += k.call(id, 3)
				}
				return spans
			}
		},
		"many services that go on and off": func(k *kernel, owner uint32) source {
			var ids []uint32
			for range 200 {
				ids = append(ids, k.newSeries(k.group(owner), 1))
			}
			return func(at time.Duration) (spans int) {
				if at%(4*time.Second) > 100*time.Millisecond {
					return 0
				}
				for _, id := range ids {
					spans += k.call(id, 100)
				}
				return spans
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			k, c := newKernel(1, target)
			invented := 0
			invents := invent(k, k.owner())
			other := k.newSeries(k.group(k.owner()), 1)
			const seconds = 30
			settled := 0
			spans := k.run(c, seconds*time.Second, everyPeriod, k.steadily(other, 5000), func(at time.Duration) int {
				n := invents(at)
				if at >= 10*time.Second {
					invented += n
				}
				if at < 10*time.Second {
					settled = k.slots[other].spans
				}
				return n
			})
			if got := float64(invented) / (seconds - 10); got > 0.65*target {
				t.Errorf("%.0f spans a second are of inventions: %v", got, spans)
			}
			if got := float64(k.slots[other].spans-settled) / (seconds - 10); got < 0.4*target {
				t.Errorf("the other cgroup has %.0f spans a second: %v", got, spans)
			}
		})
	}
}

// Thousands of series of forty cgroups, from equal rates to a few that have most of the
// calls: the target is met, estimates are within their sampling error, and who needs less
// than its fair share gets all of it.
func TestThousandsOfSeries(t *testing.T) {
	const target, series, groups, owners = 200., 2000, 400, 40
	for _, rate := range []float64{0.5, 4, 40} { // of calls, in targets
		for _, exponent := range []float64{0, 1.2} {
			t.Run(fmt.Sprintf("%v times the target, exponent %v", rate, exponent), func(t *testing.T) {
				k, c := newKernel(1, target)
				for i := range groups {
					if i < owners {
						k.owner()
					}
					k.group(uint32(i % owners))
				}
				var rates [series]float64
				var sum float64
				var perOwner [owners]float64
				for i := range rates {
					rates[i] = math.Pow(float64(i+1), -exponent)
					sum += rates[i]
					k.newSeries(uint32(k.random.IntN(groups)), 1)
				}
				for i := range rates {
					rates[i] *= rate * target / sum
					perOwner[k.groups[k.series[i].Group].Owner] += rates[i]
				}
				cut := make([]int, owners)
				spans := k.run(c, 20*time.Second, everyPeriod, func(at time.Duration) (spans int) {
					for id := range rates {
						if n := k.poisson(rates[id] * tick.Seconds()); n > 0 {
							before := k.slots[id].whole
							spans += k.call(uint32(id), n)
							if at >= 5*time.Second {
								cut[k.groups[k.series[id].Group].Owner] += n - (k.slots[id].whole - before)
							}
						}
					}
					return spans
				})
				k.expectTarget(t, min(1, rate)*target, spans[10:])
				calls, weight, variance := k.weights(k.all()...)
				if deviation := (weight - calls) / math.Sqrt(variance+1); math.Abs(deviation) > 4.5 {
					t.Errorf("spans stand for %.0f calls, %.0f were made: %.1f standard deviations", weight, calls, deviation)
				}
				for owner, need := range perOwner {
					if need > 0.5*target/owners || need == 0 {
						continue
					}
					if lost := float64(cut[owner]) / 15; lost > 0.05*need+0.2 {
						t.Errorf("cgroup %d makes %.2f calls a second, half a fair share, and %.2f of them are not whole", owner, need, lost)
					}
				}
			})
		}
	}
}
