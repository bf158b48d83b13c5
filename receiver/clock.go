// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"time"

	"golang.org/x/sys/unix"
)

// wallMinusMonotonic is what to add to a CLOCK_MONOTONIC reading to get wall
// time, in nanoseconds. It changes when the wall clock is set, so it is taken
// anew for each batch.
func wallMinusMonotonic() int64 { return wallMinus(unix.CLOCK_MONOTONIC) }

// bootTime is the wall-clock time of boot; the zero time if it cannot be told.
func bootTime() time.Time {
	if offset := wallMinus(unix.CLOCK_BOOTTIME); offset != 0 {
		return time.Unix(0, offset)
	}
	return time.Time{}
}

// wallMinus reads the wall clock between two readings of the other one, so
// that being interrupted in between shifts the result by half as much. Both
// clocks exist on every kernel that can run the receiver; 0 if not.
func wallMinus(clock int32) int64 {
	var before, after unix.Timespec
	if unix.ClockGettime(clock, &before) != nil {
		return 0
	}
	wall := time.Now().UnixNano()
	if unix.ClockGettime(clock, &after) != nil {
		return 0
	}
	return wall - before.Nano() - (after.Nano()-before.Nano())/2
}
