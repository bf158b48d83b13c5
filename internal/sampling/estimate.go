// SPDX-License-Identifier: Apache-2.0

package sampling

import "math"

const (
	// A window of the estimate ends after shortWindow with enough calls, otherwise after
	// longWindow: thousands of rare series are seen as what they are together.
	shortWindow, longWindow = 1, 10 // seconds
	enough                  = 32    // calls
	// newWindow is how long a new estimate assumes that nothing came before.
	newWindow = 2 // seconds
)

// estimate is the rate of calls over a sliding window.
type estimate struct {
	rate     float64 // calls a second
	previous float64 // the rate of the window before
	window   float64 // and its length in seconds; 0: it no longer counts
	count    float64 // calls in this window
	length   float64 // seconds
	started  bool
}

func (e *estimate) add(calls, seconds float64) {
	if !e.started {
		*e = estimate{started: true, window: newWindow}
	}
	expected := e.rate * seconds
	if calls > 2*expected+4*math.Sqrt(expected)+4 { // no chance: the load has changed
		e.window, e.count, e.length = 0, 0, 0
	}
	e.count += calls
	e.length += seconds
	before := max(0, e.window-e.length)
	e.rate = (e.previous*before + e.count) / (before + e.length)
	if e.length >= shortWindow && e.count >= enough || e.length >= longWindow {
		e.previous, e.window = e.count/e.length, min(e.length, longWindow)
		e.count, e.length = 0, 0
	}
}
