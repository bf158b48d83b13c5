// SPDX-License-Identifier: Apache-2.0

package sampling

import "math"

const (
	// A window of the estimate ends after shortWindow with enough calls, otherwise after
	// longWindow: thousands of rare series are seen as what they are together.
	shortWindow, longWindow = 1, 10 // seconds
	enough                  = 32    // calls
	// newWindow is for how long a new estimate assumes that nothing came before.
	newWindow = 2 // seconds
	// memory is the time constant with which a peak is forgotten.
	memory = 10 // seconds
	// improbable is a number of expected calls: at an unchanged rate none of them comes
	// once in e^5.
	improbable = 5
)

// estimate is the rate of calls over a sliding window.
type estimate struct {
	rate float64 // calls a second
	peak float64 // the highest rate of late over a second or more, calls a second

	previous float64 // the rate of the window before
	window   float64 // and its length in seconds; 0: it no longer counts
	count    float64 // calls in this window
	length   float64 // seconds
	age      float64 // seconds
	silence  float64 // seconds since the last call
}

// jump forgets the past if so many calls are no chance: the load has changed.
func (e *estimate) jump(calls, seconds float64) {
	expected := e.rate * seconds
	if e.age > 0 && calls > 2*expected+4*math.Sqrt(expected)+4 {
		e.window, e.count, e.length = 0, 0, 0
	}
}

// restart assumes that nothing came before.
func (e *estimate) restart() {
	e.previous, e.window, e.count, e.length = 0, newWindow, 0, 0
}

// add counts the calls of a period. forget is what is left of a peak after it.
func (e *estimate) add(calls, seconds, forget float64) {
	if e.age == 0 {
		e.restart()
	}
	e.age += seconds
	e.silence += seconds
	if calls > 0 {
		e.silence = 0
	}
	e.count += calls
	e.length += seconds
	before := max(0, e.window-e.length)
	e.rate = (e.previous*before + e.count) / (before + e.length)
	e.peak *= forget
	if before+e.length >= shortWindow {
		e.peak = max(e.peak, e.rate)
	}
	if e.length >= shortWindow && e.count >= enough || e.length >= longWindow {
		e.previous, e.window = e.count/e.length, min(e.length, longWindow)
		e.count, e.length = 0, 0
	}
}

// over reports whether the calls have ended: the silence is no chance, and longer than
// they lasted.
func (e *estimate) over() bool {
	return e.peak*e.silence > improbable && e.silence > e.age-e.silence
}
