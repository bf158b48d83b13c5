// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// wallMinusMonotonic returns the difference between the wall clock and CLOCK_MONOTONIC, in
// nanoseconds. It changes when the wall clock is set, so it is read for each batch.
func wallMinusMonotonic() int64 {
	offset, _ := wallMinus(unix.CLOCK_MONOTONIC)
	return offset
}

// bootClock returns the wall-clock time of boot. That time changes only when the wall clock
// is set: clocks that are slewed are slewed together. Any other difference between two
// readings is due to their duration, and must not change the creation time of a process.
// It is safe for concurrent use.
type bootClock struct {
	mu   sync.Mutex
	boot time.Time
	read func() (wallMinusBoot int64, took time.Duration)
}

func newBootClock() *bootClock {
	return &bootClock{read: func() (int64, time.Duration) { return wallMinus(unix.CLOCK_BOOTTIME) }}
}

// bootResolution is the resolution of creation times.
const bootResolution = time.Millisecond

// Time returns the time of boot by the current wall clock, the zero time if it cannot be
// determined.
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

// wallMinus returns the difference between the wall clock and another clock, in
// nanoseconds, and how long reading took. It reads the wall clock between two readings of
// the other one, which halves the error of an interruption. It returns 0 if the clock does
// not exist; both clocks in use exist on every kernel that can run the receiver.
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
