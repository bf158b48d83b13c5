// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver/internal/metadata"
)

func (f *fakeSource) removedSeries() []record.SeriesKey {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]record.SeriesKey(nil), f.removed...)
}

// TestSilentSeriesExpire: from points, the kernel and the sum of calls into the term expired,
// once the consumer has accepted them.
func TestSilentSeriesExpire(t *testing.T) {
	next := &sink{err: errors.New("not now")}
	r := newRig(t, &sink{}, next)
	r.config.MetricExpiration = 2 * r.config.CollectionInterval
	r.source.call(7, 3, unix.SO_TYPE)
	r.start(t)
	require.Eventually(t, func() bool { return next.tried() > 10 }, eventually, time.Millisecond)
	assert.Empty(t, r.source.removedSeries())
	next.set(nil)
	require.Eventually(t, func() bool { return len(r.source.removedSeries()) > 0 }, eventually, time.Millisecond)
	assert.Equal(t, []record.SeriesKey{{Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_TYPE}}, r.source.removedSeries())
	assert.EqualValues(t, 1, next.calls())
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.EqualValues(c, 1, r.sum(c, "expired"))
		require.Zero(c, r.sum(c, "in_flight", "signal", "metrics"))
	}, eventually, time.Millisecond)

	r.source.group(1, "curl") // its group has expired, too
	r.source.call(7, 3, unix.SO_TYPE)
	r.shutdown(t)
	r.expectSum(t, "seen", 2)
	r.expectSum(t, "in_flight", 0, "signal", "metrics")
}

// TestSeriesExpireWithoutMetrics: nobody waits for the points, and the kernel needs the places.
func TestSeriesExpireWithoutMetrics(t *testing.T) {
	source := newFakeSource()
	config := createDefaultConfig().(*Config)
	config.CollectionInterval = 10 * time.Millisecond
	config.MetricExpiration = 20 * time.Millisecond
	traces, err := newFactory(source.open).CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), config, &sink{})
	require.NoError(t, err)
	require.NoError(t, traces.Start(t.Context(), newStatusHost()))
	source.call(7, 3, unix.SO_TYPE)
	require.Eventually(t, func() bool { return len(source.removedSeries()) > 0 }, eventually, time.Millisecond)
	require.NoError(t, traces.Shutdown(context.Background()))
}
