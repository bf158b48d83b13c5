// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// wallMinusMonotonic is what to add to a CLOCK_MONOTONIC reading to get wall
// time, in nanoseconds. It changes when the wall clock is set, so it is taken
// anew for each batch.
func wallMinusMonotonic() int64 {
	offset, _ := wallMinus(unix.CLOCK_MONOTONIC)
	return offset
}

// bootClock knows the wall-clock time of boot. That changes only when the wall
// clock is set: clocks that are slewed are slewed together. So what else differs
// between two readings is how long they took, and must not change the time at
// which a process was created. It may be used from several goroutines.
type bootClock struct {
	mu   sync.Mutex
	boot time.Time
	read func() (wallMinusBoot int64, took time.Duration)
}

func newBootClock() *bootClock {
	return &bootClock{read: func() (int64, time.Duration) { return wallMinus(unix.CLOCK_BOOTTIME) }}
}

// bootResolution is what times of creation are written with.
const bootResolution = time.Millisecond

// Time returns the time of boot by the wall clock as it is now; the zero time if
// it cannot be told.
func (b *bootClock) Time() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	offset, took := b.read()
	if offset == 0 {
		return b.boot
	}
	now := time.Unix(0, offset)
	if now.Sub(b.boot).Abs() > took+bootResolution {
		b.boot = now
	}
	return b.boot
}

// wallMinus reads the wall clock between two readings of the other one, so
// that being interrupted in between shifts the result by half as much. Both
// clocks exist on every kernel that can run the receiver; 0 if not.
func wallMinus(clock int32) (offset int64, took time.Duration) {
	var before, after unix.Timespec
	if unix.ClockGettime(clock, &before) != nil {
		return 0, 0
	}
	wall := time.Now().UnixNano()
	if unix.ClockGettime(clock, &after) != nil {
		return 0, 0
	}
	took = time.Duration(after.Nano() - before.Nano())
	return wall - before.Nano() - int64(took)/2, took
}
