// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"testing"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance*want {
		t.Errorf("%s: %.2f ns, want %.2f", what, got, want)
	}
}

func TestAddInterpolates(t *testing.T) {
	m := &machine{"", []contendedAdd{{1, 2}, {2, 10}, {4, 30}}}
	for n, want := range map[int]float64{1: 2, 2: 10, 3: 20, 4: 30, 8: 60} {
		near(t, "an add", m.add(n), want, 1e-12)
	}
}

// Without a line to contend for, and with one caller, a call costs what it costs alone.
func TestCallAlone(t *testing.T) {
	for i := range published {
		near(t, "one caller", contendedCall(&published[i], 500, callLines, 1), 500, 1e-12)
		for n := 1; n <= 128; n *= 2 {
			near(t, "no lines", contendedCall(&published[i], 500, nil, n), 500, 1e-9)
		}
	}
}

// Callers that do nothing but add pay what was measured: the model gives its input back.
func TestCallThatOnlyAdds(t *testing.T) {
	for i := range published {
		for n := 2; n <= 128; n *= 2 {
			near(t, "only adds", contendedCall(&published[i], 1e-3, []float64{1}, n), published[i].add(n), 0.01)
		}
	}
}

// Two callers of one line never wait when it serves two in the time of one each.
func TestTwoCallersThatDoNotWait(t *testing.T) {
	m := &machine{"", []contendedAdd{{1, 50}, {2, 50}}}
	near(t, "two servers", contendedCall(m, 300, []float64{1}, 2), 350, 1e-9)
}

// Where adds follow one another, a call costs at least what the busiest line takes for all
// callers.
func TestBusiestLine(t *testing.T) {
	const add = 20.0
	m := &machine{"", []contendedAdd{{1, add}, {2, 2 * add}, {128, 128 * add}}}
	for _, n := range []int{32, 64, 128} {
		near(t, "the busiest line", contendedCall(m, 500, callLines, n), callLines[0]*add*float64(n), 0.05)
	}
}

// More callers wait for each other longer, at most as if all met at each line.
func TestBounds(t *testing.T) {
	for i := range published {
		m := &published[i]
		before := 500.0
		for n := 2; n <= 128; n++ {
			got, most := contendedCall(m, 500, callLines, n), 500+callLines[0]*m.add(n)
			if got < before || got > most {
				t.Errorf("%s, %d callers: %.0f ns after %.0f with one less, want at most %.0f", m.name, n, got, before, most)
			}
			before = got
		}
	}
}

// Of the callers on a host, so many contend as there are CPUs for a shard.
func TestContenders(t *testing.T) {
	for callers, want := range map[int]int{2: 2, 4: 4, 8: 8, 16: 8, 64: 8, 128: 16} {
		if got := contenders(callers); got != want {
			t.Errorf("%d of %d callers contend, want %d", got, callers, want)
		}
	}
}
