// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
)

// measuredReport is a report of which every part has run, and every budget is just met.
func measuredReport(clock string) *report {
	call := func(mode, hook, load string, added, limit float64) callCost {
		return callCost{
			Mode: mode + hook, Hook: hook, Load: load, Added: summary{Median: added},
			ToLimit: limit, ToHistogram: 0.5, ToPrintf: 0.1, ToStrace: 0.02,
		}
	}
	const mib = 1 << 20
	return &report{
		Host: host{Clock: clock}, Hooks: []string{"tracepoint", "raw_tracepoint"},
		Calls: []callCost{
			call(emptyPair, "tracepoint", loadPPID, 38, 0), call(clockPair, "tracepoint", loadPPID, 60, 0),
			call(emptyPair, "raw_tracepoint", loadPPID, 100, 0), call(clockPair, "raw_tracepoint", loadPPID, 300, 0),
			call(metricsOnly, "tracepoint", loadPPID, 41, 0), call(metricsOnly, "raw_tracepoint", loadPPID, 105, 0),
			call(metricsOnly, "tracepoint", loadType, 0, 1.4), call(metricsOnly, "raw_tracepoint", loadType, 0, 9),
			call(metricsOnly, "tracepoint", loadError, 0, 1.7), call(someSpans, "tracepoint", loadType, 0, 1.7),
			call(allSpans, "tracepoint", loadType, 0, 3),
		},
		Growth: map[string]growthResult{inTurn: {Ratio: 1.25}},
		Spans: map[string]spansResult{defaultGates: {
			PerSecond: 600_000, AllocBytes: summary{Median: 1.4 * 1024}, Allocs: summary{Median: 20},
		}},
		Operator: &operatorResult{FirstSpan: summary{Median: 500}, Modes: []operatorCost{
			{Name: operatorWithout, CPU: summary{Median: 1}, RSS: summary{Median: 50 * mib}},
			{Name: operatorMany, CPU: summary{Median: 50}, RSS: summary{Median: 500 * mib}},
			{
				Name: operatorFew, CPU: summary{Median: 3}, IdleCPU: summary{Median: 0.05},
				RSS: summary{Median: 82 * mib}, Maps: summary{Median: 16 * mib},
			},
		}},
		Process: &processResult{Shutdown: summary{Median: 1000}},
		Contention: &contentionResult{Model: []contentionForecast{
			{NS: map[int]float64{1: 500, 64: 600}}, {NS: map[int]float64{1: 500, 64: 1000}},
		}},
	}
}

func verdicts(r *report) map[string]string {
	r.judge()
	found := map[string]string{}
	for _, v := range r.Budgets {
		found[v.What] = v.Verdict
	}
	return found
}

func TestBudgetsThatAreMet(t *testing.T) {
	for what, got := range verdicts(measuredReport("tsc")) {
		want := met
		if what == budgets[len(budgets)-1].what {
			want = notMeasured
		}
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
}

func TestBudgetsThatAreNotMeasured(t *testing.T) {
	for what, got := range verdicts(&report{}) {
		if got != notMeasured {
			t.Errorf("%s: %s, want %s", what, got, notMeasured)
		}
	}
}

// Each change misses the budgets that it names, and no others.
func TestBudgetsThatAreMissed(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*report)
		missed []string
	}{
		"unrelated calls, behind the second hook": {
			func(r *report) { r.Calls[5].Added.Median++ },
			[]string{"unrelated system calls, ns more than the empty pair"},
		},
		"the best hook": {
			func(r *report) { r.Calls[6].ToLimit += 0.01 },
			[]string{"metrics only, SO_TYPE, to the limit (aim: 1.25)"},
		},
		"another hook": {func(r *report) { r.Calls[7].ToLimit += 0.01 }, nil},
		"fewer spans": {
			func(r *report) { r.Spans[defaultGates] = spansResult{PerSecond: 599_999} },
			[]string{"user space, spans/s a core"},
		},
		"without the receiver, less": {
			func(r *report) { r.Operator.Modes[0].CPU.Median = 0.9 },
			[]string{"the Collector at 100,000 calls/s and 100 spans/s, % of a core"},
		},
		"one machine of the model": {
			func(r *report) { r.Contention.Model[1].NS[64] = 1001 },
			[]string{"64 callers of one series, to one, by the model"},
		},
		"a slow start": {
			func(r *report) { r.Operator.FirstSpan.Median = 501 },
			[]string{"start of the Collector to first span, ms"},
		},
		"a slow start, with a slow clock": {
			func(r *report) { r.Host.Clock, r.Operator.FirstSpan.Median = "kvm-clock", 501 }, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := measuredReport("tsc")
			test.change(r)
			var missed []string
			for what, got := range verdicts(r) {
				if got == notMet {
					missed = append(missed, what)
				}
			}
			if !slices.Equal(missed, test.missed) {
				t.Errorf("missed %q, want %q", missed, test.missed)
			}
		})
	}
}
