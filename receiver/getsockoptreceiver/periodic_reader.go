// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"go.opentelemetry.io/collector/receiver/receiverhelper"

	"github.com/getsockopt/getsockoptreceiver/internal/metrics"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// harvest reads the kernel's series and counters, sends them as metrics, and
// balances the receiver's books with them.
type periodicReader struct {
	source    source
	next      consumer.Metrics // nil without a metrics pipeline
	obsreport *receiverhelper.ObsReport
	status    *status
	telemetry *telemetry
	counters  *spanCounters
	disabled  disabledAttributes
	procfs    *workload.Procfs
	interval  time.Duration
	hasTraces bool

	builder   *metrics.Builder
	exemplars *metrics.Exemplars
	sending   atomic.Bool // the metrics pipeline has started
	mu        sync.Mutex  // one reading at a time
}

// run harvests at every interval until stop is closed, then a last time.
func (h *periodicReader) run(ctx context.Context, stop <-chan struct{}) {
	ticker := time.NewTicker(h.interval)
	defer ticker.Stop()
	// The receiver's own metrics need not wait for an interval to pass; an
	// error shows in the status.
	_, _ = h.read()
	for {
		select {
		case <-ticker.C:
			h.collect(ctx, 0)
		case <-stop:
			// Nothing supersedes the last one, so it is offered again.
			h.collect(ctx, retryLimit)
			return
		case <-ctx.Done():
			return
		}
	}
}

// once harvests and sends. Metrics are cumulative, so that the next harvest
// makes up for one that is refused; limit is how long to insist all the same.
func (h *periodicReader) collect(ctx context.Context, limit time.Duration) {
	exemplars := h.exemplars.Take()
	snapshot, err := h.read()
	if err != nil || ctx.Err() != nil || h.next == nil || !h.sending.Load() {
		h.exemplars.Return(exemplars)
		return
	}
	batches := h.builder.Build(&snapshot, exemplars, time.Now())
	if len(batches) == 0 {
		h.exemplars.Return(exemplars)
		return
	}
	end := h.keepReading(ctx)
	defer end()
	deadline := time.Now().Add(limit)
	var refused error
	for _, batch := range batches {
		// A later one may be accepted all the same: its points are others.
		if err := h.send(ctx, batch.Metrics, deadline); err != nil {
			h.exemplars.Return(batch.Exemplars)
			refused = cmp.Or(refused, fmt.Errorf("metrics are refused: %w", err))
		}
	}
	h.status.set(conditionMetrics, refused)
}

// send offers a batch, until the deadline if it is refused, and at least once.
func (h *periodicReader) send(ctx context.Context, batch pmetric.Metrics, deadline time.Time) error {
	h.disabled.removeFromMetrics(batch)
	points := batch.DataPointCount()
	ctx = h.obsreport.StartMetricsOp(ctx)
	pref.RefMetrics(batch) // as heldTraces does
	defer pref.UnrefMetrics(batch)
	send := func(ctx context.Context) error { return h.next.ConsumeMetrics(ctx, batch) }
	var err error
	if limit := time.Until(deadline); limit > 0 {
		err = deliver(ctx, limit, send)
	} else {
		err = send(ctx)
	}
	h.obsreport.EndMetricsOp(ctx, dataFormat, points, err)
	return err
}

// keepReading keeps the receiver's books while a consumer takes its time with a
// harvest, until it is told that it has done.
func (h *periodicReader) keepReading(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		ticker := time.NewTicker(h.interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_, _ = h.read() // an error shows in the status
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		reading.Wait()
	}
}

// read takes a snapshot and accounts for it.
func (h *periodicReader) read() (record.Snapshot, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	user := h.counters.read() // before the kernel's side: see newAccount
	snapshot, err := h.source.Snapshot()
	if err != nil {
		err = fmt.Errorf("read counters: %w", err)
		h.status.set(conditionMaps, err)
		return snapshot, err
	}
	h.status.set(conditionMaps, nil)
	before := h.telemetry.last.Load()
	now := newAccount(user, &snapshot, h.source.Hook(), h.hasTraces, before)
	now.uncovered = h.source.Uncovered()
	now.incomplete = h.procfs.Incomplete()
	h.telemetry.last.Store(now)
	h.status.set(conditionLoss, now.losses(before))
	h.status.set(conditionSource, errors.Join(h.source.Degraded()...))
	return snapshot, nil
}

// close makes the last account, after the ring was drained: what is still on
// its way then, will not arrive.
func (h *periodicReader) close() error {
	_, err := h.read()
	if err != nil || !h.hasTraces {
		return err
	}
	h.counters.lost[lostShutdown].Add(h.telemetry.last.Load().undrained())
	_, err = h.read()
	return err
}
