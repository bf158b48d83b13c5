// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// classKernel plays the part of bpf/sampling.h.
type classKernel struct {
	settings [Classes]ClassSetting
	counts   [Classes]Count
	weight   float64 // sum of adjusted counts
	variance float64
	random   *rand.Rand
}

func (k *classKernel) call(class int) bool {
	s, n := k.settings[class], &k.counts[class]
	keep := end - s.Threshold
	if n.Kept > s.Limit {
		halvings := min(1+(n.Kept-s.Limit)/(s.Step|1), 56)
		keep = keep>>halvings | 1
	}
	if k.random.Uint64N(end) < end-keep {
		n.SampledOut++
		return false
	}
	p := float64(keep) / float64(end)
	k.weight += 1 / p
	k.variance += (1 - p) / (p * p)
	n.Kept++
	return true
}

const classPeriod = 100 * time.Millisecond

// runClasses offers rates[class](second) calls a second for a time, and returns the
// spans of each second.
func runClasses(c *ClassController, k *classKernel, seconds int, rates [Classes]func(second float64) float64) []int {
	k.settings = c.Start()
	spans := make([]int, seconds)
	periods := int(time.Second / classPeriod)
	for i := range seconds * periods {
		at := float64(i) * classPeriod.Seconds()
		var offered [Classes]int
		for class, rate := range rates {
			mean := rate(at) * classPeriod.Seconds()
			// Poisson by its normal approximation, which is close enough to
			// stand for the noise of real load.
			offered[class] = int(max(0, mean+math.Sqrt(mean)*k.random.NormFloat64()+0.5))
		}
		for offered[0]+offered[1] > 0 {
			class := 0
			if k.random.IntN(offered[0]+offered[1]) >= offered[0] {
				class = 1
			}
			offered[class]--
			if k.call(class) {
				spans[i/periods]++
			}
		}
		k.settings = c.Next(classPeriod, k.counts)
	}
	return spans
}

func steady(rate float64) func(float64) float64 { return func(float64) float64 { return rate } }

func newClassKernel(seed uint64) *classKernel {
	return &classKernel{random: rand.New(rand.NewPCG(seed, seed))}
}

// From any load, mixed of both classes, the rate is met within 20 % after three
// seconds and stays there; with less load than the target everything is kept.
func TestTargetRateIsMetByClass(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		target := math.Round(100 * math.Pow(20, random.Float64()))
		load := target * math.Pow(10, 3*random.Float64()-0.5)
		load = min(load, 400_000)
		failing := random.Float64()
		if seed%3 == 0 {
			failing = 0
		}
		k := newClassKernel(seed)
		spans := runClasses(NewClassController(1, target), k, 8, [Classes]func(float64) float64{steady(load * (1 - failing)), steady(load * failing)})
		want := min(load, target)
		for second := 3; second < len(spans); second++ {
			noise := 4 * math.Sqrt(want)
			if got := float64(spans[second]); math.Abs(got-want) > 0.2*want+noise {
				t.Errorf("seed %d: target %v, load %.0f, %.0f%% of it always kept: %v spans in second %d, want %.0f (%v)",
					seed, target, load, 100*failing, got, second, want, spans)
				break
			}
		}
	}
}

// Over time the target is met to within a few percent: savings and debts see
// to that.
func TestTargetRateIsMetOverTimeByClass(t *testing.T) {
	spans := runClasses(NewClassController(1, 500), newClassKernel(7), 30, [Classes]func(float64) float64{steady(100_000), steady(50)})
	total := 0
	for _, n := range spans[5:] {
		total += n
	}
	if mean := float64(total) / float64(len(spans)-5); math.Abs(mean-500) > 15 {
		t.Errorf("%v spans a second over 25 s, want 500: %v", mean, spans)
	}
}

// After a quiet time all calls of a burst of one second's budget are kept.
func TestBurstIsKeptByClass(t *testing.T) {
	c := NewClassController(1, 1000)
	k := newClassKernel(3)
	k.settings = c.Start()
	for range 20 { // two quiet seconds
		k.settings = c.Next(classPeriod, k.counts)
	}
	for i := range 1000 {
		if !k.call(ClassRest) {
			t.Fatalf("call %d of the burst was not kept", i)
		}
	}
}

// A burst far above the budget is bounded before user space can act.
func TestBurstIsBoundedByClass(t *testing.T) {
	k := newClassKernel(4)
	spans := runClasses(NewClassController(1, 500), k, 10, [Classes]func(float64) float64{func(second float64) float64 {
		if second < 5 {
			return 0
		}
		return 1_000_000
	}, steady(0)})
	if spans[5] > 2000 {
		t.Errorf("%d spans in the first second of the burst, want at most 2000: %v", spans[5], spans)
	}
}

// The adjusted counts add up to the calls, whatever the thresholds did.
func TestAdjustedCountsAreUnbiasedByClass(t *testing.T) {
	var deviations float64
	const runs = 40
	for seed := range uint64(runs) {
		k := newClassKernel(100 + seed)
		runClasses(NewClassController(0.5, 300), k, 5, [Classes]func(float64) float64{
			func(second float64) float64 { return 20_000 * (1 + math.Sin(7*second)) }, steady(200),
		})
		calls := 0.0
		for _, n := range k.counts {
			calls += float64(n.Kept + n.SampledOut)
		}
		deviation := (k.weight - calls) / math.Sqrt(k.variance)
		if math.Abs(deviation) > 4.5 {
			t.Errorf("seed %d: the spans stand for %.0f calls, %.0f were made: %.1f standard deviations", seed, k.weight, calls, deviation)
		}
		deviations += deviation
	}
	if mean := deviations / runs; math.Abs(mean) > 4/math.Sqrt(runs) {
		t.Errorf("biased: %.2f standard deviations on average over %d runs", mean, runs)
	}
}

// All calls of the class always are kept until it alone exceeds the target.
func TestAlwaysKeepClassIsKeptByClass(t *testing.T) {
	k := newClassKernel(5)
	runClasses(NewClassController(0.01, 1000), k, 10, [Classes]func(float64) float64{steady(200_000), steady(800)})
	if n := k.counts[ClassAlwaysKeep].SampledOut; n != 0 {
		t.Errorf("%d calls to keep always were not kept", n)
	}
	k = newClassKernel(6)
	runClasses(NewClassController(1, 0), k, 2, [Classes]func(float64) float64{steady(50_000), steady(50_000)})
	if n := k.counts[ClassAlwaysKeep].SampledOut + k.counts[ClassRest].SampledOut; n != 0 {
		t.Errorf("%d calls were not kept though there is no limit", n)
	}
}

// Nothing oscillates: under steady load the probability moves by little.
func TestProbabilityIsSteadyUnderSteadyLoadByClass(t *testing.T) {
	c, k := NewClassController(1, 1000), newClassKernel(8)
	runClasses(c, k, 5, [Classes]func(float64) float64{steady(50_000), steady(0)})
	low, high := 1.0, 0.0
	for range 100 {
		for range 5000 {
			k.call(ClassRest)
		}
		k.settings = c.Next(classPeriod, k.counts)
		p := Probability(k.settings[ClassRest].Threshold)
		low, high = min(low, p), max(high, p)
	}
	if high > 1.5*low {
		t.Errorf("the probability moved between %.4f and %.4f under steady load", low, high)
	}
}
