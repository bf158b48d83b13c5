// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"

	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver/internal/metadatatest"
)

// eventually is how long a test waits for what a loop does on its own.
const eventually = 10 * time.Second

// rig is a receiver of both signals over a fake source.
type rig struct {
	source          *fakeSource
	telemetry       *componenttest.Telemetry
	config          *Config
	traces, metrics component.Component
	tracesHost      *statusHost
	metricsHost     *statusHost
}

func newRig(t *testing.T, nextTraces consumer.Traces, nextMetrics consumer.Metrics) *rig {
	t.Helper()
	r := &rig{
		source: newFakeSource(), telemetry: componenttest.NewTelemetry(),
		config:     createDefaultConfig().(*Config),
		tracesHost: newStatusHost(), metricsHost: newStatusHost(),
	}
	t.Cleanup(func() { require.NoError(t, r.telemetry.Shutdown(context.Background())) })
	r.config.CollectionInterval = 20 * time.Millisecond
	factory := newFactory(r.source.open)
	set := metadatatest.NewSettings(r.telemetry)
	var err error
	r.traces, err = factory.CreateTraces(t.Context(), set, r.config, nextTraces)
	require.NoError(t, err)
	r.metrics, err = factory.CreateMetrics(t.Context(), set, r.config, nextMetrics)
	require.NoError(t, err)
	return r
}

func (r *rig) start(t *testing.T) {
	t.Helper()
	require.NoError(t, r.traces.Start(t.Context(), r.tracesHost))
	require.NoError(t, r.metrics.Start(t.Context(), r.metricsHost))
}

func (r *rig) shutdown(t *testing.T) {
	t.Helper()
	require.NoError(t, r.traces.Shutdown(context.Background()))
	require.NoError(t, r.metrics.Shutdown(context.Background()))
}

// statusHost remembers the events reported to it.
type statusHost struct {
	component.Host
	mu     sync.Mutex
	events []*componentstatus.Event
}

func newStatusHost() *statusHost { return &statusHost{Host: componenttest.NewNopHost()} }

func (h *statusHost) Report(e *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

func (h *statusHost) last() *componentstatus.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) == 0 {
		return componentstatus.NewEvent(componentstatus.StatusNone)
	}
	return h.events[len(h.events)-1]
}

func (h *statusHost) await(t *testing.T, want componentstatus.Status, text string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		last := h.last()
		require.Equal(c, want, last.Status(), "%v", last.Err())
		if text != "" {
			require.ErrorContains(c, last.Err(), text)
		}
	}, eventually, 5*time.Millisecond)
}

// sink is a consumer of both signals that behaves as a test sets it.
type sink struct {
	mu      sync.Mutex
	err     error                       // returned by every call
	block   func(context.Context) error // instead, when set
	spans   int                         // accepted
	batches []ptrace.Traces
	last    pmetric.Metrics
	tries   int
}

func (*sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s *sink) answer(ctx context.Context, accept func()) error {
	s.mu.Lock()
	s.tries++
	block, err := s.block, s.err
	if block == nil && err == nil {
		accept()
	}
	s.mu.Unlock()
	if block != nil {
		return block(ctx)
	}
	return err
}

func (s *sink) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	return s.answer(ctx, func() {
		s.spans += td.SpanCount()
		s.batches = append(s.batches, td)
	})
}

func (s *sink) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	return s.answer(ctx, func() { s.last = md })
}

func (s *sink) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *sink) accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spans
}

func (s *sink) tried() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries
}

// calls is the sum of socket.getsockopt.calls in the last metrics.
func (s *sink) calls() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == (pmetric.Metrics{}) {
		return 0
	}
	for _, rm := range s.last.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Name() != "socket.getsockopt.calls" {
					continue
				}
				for _, point := range m.Sum().DataPoints().All() {
					n += point.IntValue()
				}
			}
		}
	}
	return n
}

var (
	_ consumer.Traces  = (*sink)(nil)
	_ consumer.Metrics = (*sink)(nil)
	_ receiver.Traces  = signalComponent{}
)
