// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver/internal/metadata"
)

func TestSignalsShareOneInstance(t *testing.T) {
	next := &sink{}
	r := newRig(t, next, next)
	opened := 0
	shared := r.traces.(signalComponent).instance
	open := shared.open
	shared.open = func(ctx context.Context, o probe.Options) (source, error) {
		opened++
		return open(ctx, o)
	}
	require.Same(t, r.traces.(signalComponent).instance, r.metrics.(signalComponent).instance)

	r.start(t)
	assert.Equal(t, 1, opened)
	assert.True(t, r.source.options.Spans)
	assert.Equal(t, 512, r.source.options.ValueMaxLength)
	r.source.call(7, 3, 1)
	require.Eventually(t, func() bool { return next.accepted() == 1 && next.calls() == 1 }, eventually, time.Millisecond)

	require.NoError(t, r.traces.Shutdown(t.Context()))
	detached, closed := r.source.state()
	assert.True(t, detached, "spans and metrics end with the same call")
	assert.False(t, closed, "metrics still need it")
	require.NoError(t, r.metrics.Shutdown(t.Context()))
	_, closed = r.source.state()
	assert.True(t, closed)
}

// TestSpansAreSentWhileTheSourceIsCompleted: the last signal to start waits until all is
// attached, whichever it is; spans do not.
func TestSpansAreSentWhileTheSourceIsCompleted(t *testing.T) {
	for _, tracesFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("traces first %t", tracesFirst), func(t *testing.T) {
			next := &sink{}
			r := newRig(t, next, next)
			r.source.completing = make(chan struct{})
			first, second := r.traces, r.metrics
			if !tracesFirst {
				first, second = second, first
			}
			require.NoError(t, first.Start(t.Context(), r.tracesHost))
			started := make(chan error)
			go func() { started <- second.Start(t.Context(), r.metricsHost) }()
			r.source.call(7, 3, 1)
			require.Eventually(t, func() bool { return next.accepted() == 1 }, eventually, time.Millisecond)
			select {
			case err := <-started:
				t.Fatalf("started before the source is complete: %v", err)
			default:
			}
			close(r.source.completing)
			require.NoError(t, <-started)
			r.shutdown(t)
		})
	}
}

// TestShutdownFlushes: calls made before the shutdown are sent, whichever signal stops
// first, also within an interval and a batch.
func TestShutdownFlushes(t *testing.T) {
	for _, tracesFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("traces first %t", tracesFirst), func(t *testing.T) {
			next := &sink{}
			r := newRig(t, next, next)
			r.config.CollectionInterval = time.Hour
			r.start(t)
			const calls = 3*batchSpans + 1
			for i := range calls {
				r.source.call(7, int32(i), 1)
			}
			first, second := r.traces, r.metrics
			if !tracesFirst {
				first, second = second, first
			}
			require.NoError(t, first.Shutdown(t.Context()))
			require.NoError(t, second.Shutdown(t.Context()))
			assert.Equal(t, calls, next.accepted())
			assert.EqualValues(t, calls, next.calls())
		})
	}
}

// TestSignalReceivesNothingOutsideStartAndShutdown: a pipeline gets nothing before its own start
// and after its own shutdown.
func TestSignalReceivesNothingOutsideStartAndShutdown(t *testing.T) {
	spans, points := &sink{}, &sink{}
	r := newRig(t, spans, points)
	require.NoError(t, r.metrics.Start(t.Context(), r.metricsHost))
	r.source.call(7, 3, 1)
	require.Eventually(t, func() bool { return points.calls() == 1 }, eventually, time.Millisecond)
	assert.Zero(t, spans.tried())
	require.NoError(t, r.traces.Start(t.Context(), r.tracesHost))
	require.Eventually(t, func() bool { return spans.accepted() == 1 }, eventually, time.Millisecond)

	require.NoError(t, r.metrics.Shutdown(t.Context()))
	tried := points.tried()
	r.source.call(7, 3, 1)
	require.Eventually(t, func() bool { return spans.accepted() == 2 }, eventually, time.Millisecond)
	require.NoError(t, r.traces.Shutdown(t.Context()))
	assert.Equal(t, tried, points.tried())
}

func TestMetricsWithoutTraces(t *testing.T) {
	source := newFakeSource()
	factory := newFactory(source.open)
	next := &sink{}
	metrics, err := factory.CreateMetrics(t.Context(), receivertest.NewNopSettings(metadata.Type), createDefaultConfig(), next)
	require.NoError(t, err)
	require.NoError(t, metrics.Start(t.Context(), componenttest.NewNopHost()))
	assert.False(t, source.options.Spans, "the kernel need not write records")
	source.series(1)
	require.NoError(t, metrics.Shutdown(t.Context()))
	assert.EqualValues(t, 1, next.calls())
	_, closed := source.state()
	assert.True(t, closed)
}

// Of processes that would not be removed as they exit, nothing is published.
func TestPublishersNeedTheirEnd(t *testing.T) {
	for name, stay := range map[string]bool{"removed": false, "stay": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, consumertest.NewNop(), consumertest.NewNop())
			r.source.publishersStay = stay
			r.start(t)
			assert.Equal(t, stay, r.session().publishersLoop == nil)
			r.shutdown(t)
		})
	}
}

func TestShutdownTwiceOrBeforeStart(t *testing.T) {
	r := newRig(t, consumertest.NewNop(), consumertest.NewNop())
	for range 2 { // before start
		r.shutdown(t)
	}
	r.start(t)
	for range 2 {
		r.shutdown(t)
	}
}

func TestConfigurationIsFreeAfterShutdown(t *testing.T) {
	sources := 0
	factory := newFactory(func(context.Context, probe.Options) (source, error) {
		sources++
		return newFakeSource(), nil
	})
	config := createDefaultConfig()
	for range 2 {
		c, err := factory.CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), config, consumertest.NewNop())
		require.NoError(t, err)
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
		require.NoError(t, c.Shutdown(t.Context()))
	}
	assert.Equal(t, 2, sources)
}

func TestStartFails(t *testing.T) {
	factory := newFactory(refuse)
	c, err := factory.CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), createDefaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	require.ErrorIs(t, c.Start(t.Context(), componenttest.NewNopHost()), errNoPrivileges)
	require.NoError(t, c.Shutdown(t.Context()))
}

// TestShutdownKeepsTheDeadline: with a consumer that blocks for as long as it
// may, and with one that ignores its context.
func TestShutdownKeepsTheDeadline(t *testing.T) {
	release := make(chan struct{})
	for name, block := range map[string]func(context.Context) error{
		"blocks": func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
		"ignores its context": func(context.Context) error {
			<-release
			return errors.New("too late")
		},
	} {
		t.Run(name, func(t *testing.T) {
			next := &sink{block: block}
			r := newRig(t, next, next)
			r.start(t)
			r.source.call(7, 3, 1)
			require.Eventually(t, func() bool { return next.tried() >= 2 }, eventually, time.Millisecond)
			loops := []*loop{r.session().spansLoop, r.session().readerLoop}

			for _, c := range []component.Component{r.traces, r.metrics} {
				ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
				err := c.Shutdown(ctx) // neither consumer returns before the deadline
				if name == "ignores its context" {
					require.ErrorIs(t, err, context.DeadlineExceeded)
				} else {
					require.NoError(t, err)
				}
				cancel()
			}
			_, closed := r.source.state()
			assert.True(t, closed)
			if name == "ignores its context" {
				close(release)
			}
			for _, l := range loops {
				<-l.done
			}
		})
	}
}

func TestSourceClosedWhileRunning(t *testing.T) {
	next := &sink{}
	r := newRig(t, next, next)
	r.start(t)
	require.NoError(t, r.source.Close())
	<-r.session().spansLoop.done
	r.metricsHost.await(t, componentstatus.StatusRecoverableError, "read counters")
	require.NoError(t, r.traces.Shutdown(t.Context()))
	require.Error(t, r.metrics.Shutdown(t.Context()))
}

func (r *rig) session() *session { return r.traces.(signalComponent).session }
