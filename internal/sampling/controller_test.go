// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// source makes calls at a time of a simulation, and returns how many became spans.
type source = func(at time.Duration) int

// flood is a program that calls as fast as it can, in one new series of a group.
func (k *kernel) flood(group uint32) source { return k.steadily(k.newSeries(group, 1), 300_000) }

// weights are the calls of some series, and those that their spans stand for.
func (k *kernel) weights(ids ...uint32) (calls, weight, variance float64) {
	for _, id := range ids {
		calls += float64(k.slots[id].calls)
		weight += k.slots[id].weight
		variance += k.slots[id].variance
	}
	return calls, weight, variance
}

// Two programs at full speed from the first call on: a bounded first second, the target
// from the fourth, and an estimate as good as the number of spans allows.
func TestTwoProgramsAtFullSpeed(t *testing.T) {
	const target, runs = 500, 30
	for name, programs := range map[string]func(k *kernel) []source{
		"of one series": func(k *kernel) []source {
			return []source{k.steadily(k.newSeries(k.group(k.owner()), 1), 2e6)}
		},
		"of one service, one call in ten fails": func(k *kernel) []source {
			group := k.group(k.owner())
			return []source{k.steadily(k.newSeries(group, 1), 1.8e6), k.steadily(k.newSeries(group, 1), 2e5)}
		},
		"of one cgroup": func(k *kernel) []source {
			owner := k.owner()
			return []source{k.steadily(k.newSeries(k.group(owner), 1), 1e6), k.steadily(k.newSeries(k.group(owner), 1), 1e6)}
		},
		"of two cgroups": func(k *kernel) []source {
			return []source{k.steadily(k.newSeries(k.group(k.owner()), 1), 1e6), k.steadily(k.newSeries(k.group(k.owner()), 1), 1e6)}
		},
		"of two cgroups, on a fast host": func(k *kernel) []source {
			return []source{k.steadily(k.newSeries(k.group(k.owner()), 1), 3e6), k.steadily(k.newSeries(k.group(k.owner()), 1), 3e6)}
		},
		"in twenty series each": func(k *kernel) []source {
			var all []source
			for range 2 {
				group := k.group(k.owner())
				for range 20 {
					all = append(all, k.steadily(k.newSeries(group, 1), 4e4))
				}
			}
			return all
		},
	} {
		for _, host := range []string{"steady", "starved", "quiet before"} {
			t.Run(name+", host "+host, func(t *testing.T) {
				var sum, square float64
				for seed := range uint64(runs) {
					k, c := newKernel(seed, target)
					wait := everyPeriod
					switch host {
					case "starved":
						wait = k.starved
					case "quiet before": // the control loop looks once a second
						wait = func() time.Duration {
							wait = everyPeriod
							return time.Second
						}
					}
					spans := k.run(c, 12*time.Second, func() time.Duration { return wait() }, programs(k)...)
					if spans[0] > 3*target {
						t.Errorf("seed %d: %d spans in the first second", seed, spans[0])
					}
					total := 0
					for _, n := range spans[3:] {
						total += n
						// A starved control loop makes up for it later.
						if host != "starved" && (n < 0.8*target || n > 1.2*target) {
							t.Errorf("seed %d: %d spans in a second, want %d: %v", seed, n, target, spans)
						}
					}
					if mean := total / len(spans[3:]); mean < 0.9*target || mean > 1.1*target {
						t.Errorf("seed %d: %d spans a second from the fourth on, want %d: %v", seed, mean, target, spans)
					}
					calls, weight, _ := k.weights(k.all()...)
					sum += weight/calls - 1
					square += (weight/calls - 1) * (weight/calls - 1)
				}
				deviation := math.Sqrt(square / runs)
				if deviation > 0.022 { // 0.02, of 30 runs
					t.Errorf("the calls that spans stand for have %.2f %% of standard deviation", 100*deviation)
				}
				if mean := sum / runs; math.Abs(mean) > 4*0.02/math.Sqrt(runs) {
					t.Errorf("spans stand for %+.2f %% of the calls too many", 100*mean)
				}
			})
		}
	}
}

// A flood meets any target, and its first second is bounded by it.
func TestAnyTarget(t *testing.T) {
	for _, target := range []float64{1, 10, 100, 1000, 10_000} {
		k, c := newKernel(1, target)
		spans := k.run(c, 34*time.Second, everyPeriod, k.flood(k.group(k.owner())), k.flood(k.group(k.owner())))
		if most := 15 * target; float64(spans[0]) > most+10 {
			t.Errorf("target %v: %d spans in the first second", target, spans[0])
		}
		total := 0
		for _, n := range spans[4:] {
			total += n
		}
		if mean := float64(total) / 30; math.Abs(mean-target) > 0.1*target+0.5 {
			t.Errorf("target %v: %.1f spans a second: %v", target, mean, spans)
		}
	}
}

// expectTarget expects spans to meet the target on average.
func (k *kernel) expectTarget(t *testing.T, target float64, spans []int) {
	t.Helper()
	total := 0
	for _, n := range spans {
		total += n
	}
	if mean := float64(total) / float64(len(spans)); math.Abs(mean-target) > 0.1*target {
		t.Errorf("%.0f spans a second, want %v: %v", mean, target, spans)
	}
}

// Series that were silent may all come at once, and again and again.
func TestIdleSeriesBurstTogether(t *testing.T) {
	const target, series = 100, 1000
	for _, owners := range []int{1, 10, 50} {
		t.Run(fmt.Sprintf("of %d cgroups", owners), func(t *testing.T) {
			k, c := newKernel(1, target)
			for i := range owners {
				k.owner()
				k.group(uint32(i))
			}
			for i := range series {
				k.newSeries(uint32(i%owners), 1)
			}
			spans := k.run(c, 60*time.Second, everyPeriod, func(at time.Duration) (spans int) {
				for id := range uint32(series) {
					switch {
					case at < 5*time.Second && k.random.IntN(200) == 0: // one call in two seconds
						spans += k.call(id, 1)
					case at >= 20*time.Second && at%(4*time.Second) == 0:
						spans += k.call(id, 100)
					}
				}
				return spans
			})
			if most := 10 * hostBurst * target; spans[20] > most {
				t.Errorf("%d spans of the first burst, want at most %d", spans[20], most)
			}
			total := 0
			for _, n := range spans[24:] {
				total += n
			}
			if mean := total / len(spans[24:]); mean > 2*target {
				t.Errorf("%d spans a second of bursts every four seconds, the target is %d: %v", mean, target, spans)
			}
			calls, weight, variance := k.weights(k.all()...)
			if deviation := (weight - calls) / math.Sqrt(variance); math.Abs(deviation) > 4.5 {
				t.Errorf("spans stand for %.0f calls, %.0f were made: %.1f standard deviations", weight, calls, deviation)
			}
		})
	}
}

// The adjusted counts add up to the calls, on the host and in each service, whatever the
// load, the control and the clock do.
func TestAdjustedCountsAreUnbiased(t *testing.T) {
	type sum struct{ excess, variance float64 }
	sums := map[string]sum{}
	for seed := range uint64(300) {
		k, c := newKernel(1000+seed, 200)
		noisy, calm := k.group(k.owner()), k.group(k.owner())
		waves := k.newSeries(noisy, 1)
		ratio := k.newSeries(noisy, 0.1)
		rare := k.newSeries(calm, 1)
		var once []uint32
		k.run(c, 5*time.Second, k.starved,
			func(at time.Duration) int {
				return k.call(waves, k.poisson(3000*(1+math.Sin(7*at.Seconds()))*tick.Seconds()))
			},
			k.steadily(ratio, 20_000), k.steadily(rare, 90),
			func(time.Duration) int {
				id := k.newSeries(noisy, 1)
				once = append(once, id)
				return k.call(id, 1+k.random.IntN(30))
			})
		for name, ids := range map[string][]uint32{
			"a load that changes": {waves}, "a sampling ratio": {ratio}, "a rare series": {rare}, "series that come once": once, "the host": k.all(),
		} {
			calls, weight, variance := k.weights(ids...)
			sums[name] = sum{sums[name].excess + weight - calls, sums[name].variance + variance}
		}
	}
	for name, s := range sums {
		if deviation := s.excess / math.Sqrt(s.variance); math.Abs(deviation) > 4.5 {
			t.Errorf("%s: the spans of all runs stand for %.0f calls too many, %.1f standard deviations", name, s.excess, deviation)
		}
	}
}

// Below the target every call is kept, nearly so on a host that starves the control
// loop, and a sampling ratio holds.
func TestBelowTheTargetAllIsKept(t *testing.T) {
	for seed := range uint64(20) {
		k, c := newKernel(seed, 500)
		wait, most := everyPeriod, 0.002
		if seed%2 == 1 {
			wait, most = k.starved, 0.01
		}
		calls, whole := 0, 0
		var sources []source
		for range 5 {
			owner := k.owner()
			for range 4 {
				group := k.group(owner)
				for range 5 {
					sources = append(sources, k.steadily(k.newSeries(group, 1), 4*k.random.Float64()))
				}
			}
		}
		ratio := k.newSeries(0, 0.01)
		sources = append(sources, k.steadily(ratio, 1000))
		k.run(c, 20*time.Second, wait, sources...)
		for id, s := range k.slots {
			if uint32(id) == ratio {
				if p := Probability(s.setting.Threshold); math.Abs(p-0.01) > 0.0001 {
					t.Errorf("seed %d: the probability is %v, want the ratio 0.01", seed, p)
				}
				continue
			}
			calls, whole = calls+s.calls, whole+s.whole
		}
		if lost := float64(calls - whole); lost > most*float64(calls) {
			t.Errorf("seed %d: %d of %d calls are spans with the threshold 0", seed, whole, calls)
		}
	}
}

// A clock that stands still, goes back or jumps by hours does no harm.
func TestClockJumps(t *testing.T) {
	const target = 500
	k, c := newKernel(1, target)
	id, rare := k.newSeries(k.group(k.owner()), 1), k.newSeries(k.group(k.owner()), 1)
	var perSecond []int
	for period := range 300 {
		if period%10 == 0 {
			perSecond = append(perSecond, 0)
		}
		perSecond[period/10] += k.call(id, 10_000)
		if period%5 == 0 {
			perSecond[period/10] += k.call(rare, 1)
		}
		elapsed := 100 * time.Millisecond
		switch period {
		case 50:
			elapsed = 3 * time.Hour
		case 100:
			elapsed = -3 * time.Hour
		case 150, 151, 152:
			elapsed = 0
		}
		k.control(c, elapsed)
	}
	for second, n := range perSecond {
		if n > 3*target {
			t.Errorf("%d spans in second %d", n, second)
		}
	}
	for _, from := range []int{8, 13, 18, 26} {
		k.expectTarget(t, target, perSecond[from:from+2])
	}
	if s := k.slots[rare]; s.whole < s.calls*9/10 {
		t.Errorf("%d of %d rare calls are whole", s.whole, s.calls)
	}
}

// Without a target there is nothing but the ratio, from the first call on.
func TestNoTarget(t *testing.T) {
	k, c := newKernel(1, 0)
	group := k.group(k.owner())
	all, ratio := k.newSeries(group, 1), k.newSeries(group, 0.25)
	k.run(c, time.Second, everyPeriod, k.steadily(all, 1e5), k.steadily(ratio, 1e5))
	if s := k.slots[all]; s.whole != s.calls {
		t.Errorf("%d of %d calls were kept", s.whole, s.calls)
	}
	if s := k.slots[ratio]; math.Abs(float64(s.spans)-0.25*float64(s.calls)) > 1000 {
		t.Errorf("%d of %d calls were kept, want a quarter", s.spans, s.calls)
	}
}

// Slots, groups and owners that are not in use count for nothing: the settings of the
// others are the same.
func TestWhatIsFreeNeedsNothing(t *testing.T) {
	settings := func(free int) string {
		k, c := newKernel(1, 100)
		sources := []source{k.flood(k.group(k.owner())), k.steadily(k.newSeries(k.group(k.owner()), 1), 60)}
		k.series = append(k.series, make([]Series, free)...)
		k.slots = append(k.slots, make([]slot, free)...)
		k.groups, k.groupKept = append(k.groups, make([]Group, free)...), append(k.groupKept, make([]uint32, free)...)
		k.owners, k.ownerKept = append(k.owners, make([]Owner, free)...), append(k.ownerKept, make([]uint32, free)...)
		k.run(c, 3*time.Second, everyPeriod, sources...)
		return fmt.Sprint(k.series[0].Setting, k.series[1].Setting, k.groups[0].Setting, k.owners[1].Setting, k.defaults)
	}
	if got, want := settings(1000), settings(0); got != want {
		t.Errorf("settings with free slots are %s, without %s", got, want)
	}
}
