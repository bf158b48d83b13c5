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
	"go.opentelemetry.io/collector/receiver/receiverhelper"

	"github.com/getsockopt/getsockoptreceiver/internal/metrics"
	"github.com/getsockopt/getsockoptreceiver/internal/publisher"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// periodicReader reads the kernel's series and counters at every collection, sends them as
// metrics, and updates the accounting. One goroutine runs it; close may be called after that
// has ended.
type periodicReader struct {
	source    source
	next      consumer.Metrics // nil without a metrics pipeline
	obsreport *receiverhelper.ObsReport
	status    *status
	telemetry *telemetry
	counters  *spanCounters
	procfs    *workload.Procfs
	resources *publisher.Resources
	groups    *workload.Groups
	interval  time.Duration
	hasTraces bool

	exemplars *metrics.Exemplars
	sending   atomic.Bool // set once the metrics pipeline has started

	mu      sync.Mutex // one reading at a time; guards what follows
	begin   time.Time  // of the uptime
	builder *metrics.Builder
}

// run collects at every interval until stop is closed, then a last time.
func (r *periodicReader) run(ctx context.Context, stop <-chan struct{}) {
	ticker := time.NewTicker(r.interval)
	defer ticker.Stop()
	// Self-telemetry is available before the first interval ends. The status reports an
	// error.
	_ = r.read()
	for {
		select {
		case <-ticker.C:
			r.collect(ctx, 0)
			r.expire()
		case <-stop:
			// No later collection replaces the last one, so it is retried.
			r.collect(ctx, retryLimit)
			return
		case <-ctx.Done():
			return
		}
	}
}

// collect makes one collection and sends it. Metrics are cumulative, so the next collection
// replaces one that is refused. limit is how long to retry nevertheless.
func (r *periodicReader) collect(ctx context.Context, limit time.Duration) {
	exemplars := r.exemplars.Take()
	err := r.read()
	if err != nil || ctx.Err() != nil || r.next == nil || !r.sending.Load() {
		r.exemplars.Return(exemplars)
		return
	}
	batches := r.build(exemplars)
	if len(batches) == 0 {
		r.exemplars.Return(exemplars)
		return
	}
	end := r.keepReading(ctx)
	defer end()
	deadline := time.Now().Add(limit)
	var refused error
	for _, batch := range batches {
		// Later batches have other points, and may be accepted.
		err := r.send(ctx, batch.Metrics, deadline)
		r.done(batch, err == nil)
		if err != nil {
			r.exemplars.Return(batch.Exemplars)
			refused = cmp.Or(refused, fmt.Errorf("metrics are refused: %w", err))
		}
	}
	r.status.set(conditionMetrics, refused)
}

func (r *periodicReader) build(exemplars metrics.TakenExemplars) []metrics.Batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.builder.Build(exemplars, time.Now())
}

func (r *periodicReader) done(batch metrics.Batch, accepted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.builder.Done(batch, accepted)
}

// expire ends the points that are no longer needed, and removes their series and groups from
// the kernel.
func (r *periodicReader) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.builder.AcceptAll()
	}
	series, groups := r.builder.Expire()
	if len(series) == 0 && len(groups) == 0 {
		return
	}
	if err := r.source.Remove(series, groups); err != nil {
		r.status.set(conditionMaps, fmt.Errorf("remove expired series: %w", err))
	}
}

// send sends a batch. It tries at least once, and again until the deadline.
func (r *periodicReader) send(ctx context.Context, batch pmetric.Metrics, deadline time.Time) error {
	points := batch.DataPointCount()
	ctx = r.obsreport.StartMetricsOp(ctx)
	defer holdMetrics(batch)()
	send := func(ctx context.Context) error { return r.next.ConsumeMetrics(ctx, batch) }
	var err error
	if limit := time.Until(deadline); limit > 0 {
		err = deliver(ctx, limit, send)
	} else {
		err = send(ctx)
	}
	r.obsreport.EndMetricsOp(ctx, dataFormat, points, err)
	return err
}

// keepReading updates the accounting while a consumer is slow, until end is called.
func (r *periodicReader) keepReading(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		ticker := time.NewTicker(r.interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_ = r.read() // the status reports an error
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

// read takes a snapshot, adds it to the points, and updates the accounting.
func (r *periodicReader) read() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	user := r.counters.read() // before the snapshot: see newAccount
	snapshot, err := r.source.Snapshot()
	if err != nil {
		err = fmt.Errorf("read counters: %w", err)
		r.status.set(conditionMaps, err)
		return err
	}
	r.builder.Add(&snapshot, time.Since(r.begin))
	r.groups.Keep(snapshot.Groups)
	r.status.set(conditionMaps, nil)
	before := r.telemetry.last.Load()
	now := newAccount(user, &snapshot, r.builder.Calls(), r.source.Hook(), r.hasTraces, before)
	now.uncovered = r.source.Uncovered()
	now.incomplete = r.procfs.Incomplete()
	now.contexts = r.resources.Counts()
	r.telemetry.last.Store(now)
	r.status.set(conditionLoss, now.losses(before))
	r.status.set(conditionSource, errors.Join(r.source.Degraded()...))
	return nil
}

// close updates the accounting a last time, after the ring buffer was drained: calls that are
// still in flight are lost.
func (r *periodicReader) close() error {
	err := r.read()
	if err != nil || !r.hasTraces {
		return err
	}
	r.counters.lost[lostShutdown].Add(r.telemetry.last.Load().undrained())
	return r.read()
}
