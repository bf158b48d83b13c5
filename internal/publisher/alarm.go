// SPDX-License-Identifier: Apache-2.0

package publisher

import "time"

// alarm is a timer that rings at the earliest of the times that were asked for.
type alarm struct {
	*time.Timer
	at time.Time // zero if it will not ring
}

func newAlarm() *alarm {
	a := &alarm{Timer: time.NewTimer(0)}
	a.Stop()
	return a
}

// within makes the alarm ring after that time at the latest.
func (a *alarm) within(d time.Duration) {
	if at := time.Now().Add(d); a.at.IsZero() || at.Before(a.at) {
		a.at = at
		a.Reset(d)
	}
}

// rang is for who has received from C.
func (a *alarm) rang() { a.at = time.Time{} }
