// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

// A service has as many series as its share of the many. Each call gives the result again that
// makes it a series of its own.
func TestAttemptsAreSeries(t *testing.T) {
	found, err := attempts()
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < manySeries/manyServices {
		t.Errorf("%d calls differ, want at least %d", len(found), manySeries/manyServices)
	}
	for i := range found {
		if first, again := found[i].call(), found[i].call(); first != again {
			t.Errorf("option %+v returns %v, then %v", found[i].option, first, again)
		}
	}
}

// Each number of series is reached, whatever was ordered before.
func TestSpreadReachesEachSeries(t *testing.T) {
	for _, series := range []int{1, 2, 20, 2000} {
		c := &calls{attempts: make([]attempt, 2500), next: 1234}
		taken := map[int]bool{}
		for range series {
			taken[c.take(series)] = true
		}
		if len(taken) != series {
			t.Errorf("%d calls in a row are in %d series", series, len(taken))
		}
	}
}
