// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestBootTimeFollowsClockSteps: the time of boot changes only when the wall clock is set,
// forward or back.
func TestBootTimeFollowsClockSteps(t *testing.T) {
	boot := time.Unix(1_700_000_000, 0)
	var offset, took time.Duration
	b := &bootClock{read: func() (int64, time.Duration) { return boot.Add(offset).UnixNano(), took }}
	for _, step := range []struct{ offset, took, want time.Duration }{
		{0, 0, 0},
		{900 * time.Microsecond, 0, 0},
		{-10 * time.Millisecond, 20 * time.Millisecond, 0}, // interrupted
		{time.Hour, 0, time.Hour},
		{time.Hour + time.Microsecond, 0, time.Hour},
		{-48 * time.Hour, 0, -48 * time.Hour},
		{20 * time.Millisecond, 0, 20 * time.Millisecond},
	} {
		offset, took = step.offset, step.took
		assert.Equal(t, boot.Add(step.want), b.Time(), "%v, read in %v", step.offset, step.took)
	}
}

// TestClockStepWhileIdle: the times of spans are those of the wall clock when their calls are
// read, not when the receiver began to wait.
func TestClockStepWhileIdle(t *testing.T) {
	next := &sink{}
	r := newRig(t, next, &sink{})
	require.NoError(t, r.metrics.Start(t.Context(), r.metricsHost))
	var offset atomic.Int64
	r.traces.(signalComponent).session.spans.wallMinusMonotonic = offset.Load
	require.NoError(t, r.traces.Start(t.Context(), r.tracesHost))
	for batch, want := range []time.Duration{time.Hour, 30 * time.Minute} {
		r.source.awaitReader()
		offset.Store(int64(want))
		r.source.call(7, 3, 1)
		require.Eventually(t, func() bool { return next.accepted() == batch+1 }, eventually, time.Millisecond)
		span := next.batches[batch].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		assert.Equal(t, time.Unix(0, 0).Add(want+1000).UTC(), span.StartTimestamp().AsTime())
	}
	r.shutdown(t)
}

// TestClockOffsetsGiveTheWallClock: a clock and its offset add up to the wall clock.
func TestClockOffsetsGiveTheWallClock(t *testing.T) {
	for _, clock := range []int32{unix.CLOCK_MONOTONIC, unix.CLOCK_BOOTTIME} {
		offset, took := wallMinus(clock)
		var now unix.Timespec
		assert.NoError(t, unix.ClockGettime(clock, &now))
		assert.Less(t, time.Unix(0, now.Nano()+offset).Add(-took).Compare(time.Now()), 1)
		assert.GreaterOrEqual(t, took, time.Duration(0))
	}
	assert.Equal(t, newBootClock().Time().IsZero(), false)
}
