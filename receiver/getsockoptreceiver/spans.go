// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/getsockopt/getsockoptreceiver/internal/metrics"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/traces"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

const (
	// batchSpans, batchWait and spansBytes end a batch, whichever comes first.
	batchSpans = 1024
	batchWait  = 200 * time.Millisecond
	// idleWait is how long an empty ring is waited for when nothing came last
	// time; a call then waits for its span so much longer.
	idleWait = 500 * time.Millisecond
	// readPause is how long a ring that fails is left alone.
	readPause = time.Second
)

// spans reads the ring and sends what it holds as spans, from one goroutine.
type spans struct {
	source    source
	next      consumer.Traces
	obsreport *receiverhelper.ObsReport
	logger    *zap.Logger
	status    *status
	counters  *spanCounters
	disabled  disabledAttributes

	// wallMinusMonotonic is read when a batch begins, not before: the wall clock
	// may be set while nothing comes.
	wallMinusMonotonic func() int64
	boot               *bootClock
	procfs             *workload.Procfs

	builder    *traces.Builder
	processes  *processes
	exemplars  *metrics.Exemplars
	candidates []exemplarCandidate // what the batch's spans could stand for
	begun      time.Time           // of the batch
	idle       bool                // the last reading found nothing
	warned     bool                // that environments cannot be read
}

// run sends spans until stop is closed, then those that are still in the ring.
// Once ctx is done nothing is sent any more, and run returns.
func (s *spans) run(ctx context.Context, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			s.drain(ctx)
			return
		case <-ctx.Done():
			s.flush(ctx)
			return
		default:
		}
		deadline := time.Now().Add(batchWait)
		switch {
		case s.builder.Len() > 0:
			deadline = s.begun.Add(batchWait)
		case s.idle:
			deadline = time.Now().Add(idleWait)
		}
		err := s.read(ctx, deadline)
		if s.builder.Len() >= batchSpans || s.builder.Len() > 0 && !time.Now().Before(s.begun.Add(batchWait)) {
			s.flush(ctx)
		}
		if errors.Is(err, os.ErrClosed) {
			s.flush(ctx)
			return
		}
		if err != nil {
			pause(ctx, stop, readPause)
		}
	}
}

// drain empties the ring, which nothing fills any more.
func (s *spans) drain(ctx context.Context) {
	for ctx.Err() == nil {
		before := s.builder.Len()
		n, err := s.take(ctx, time.Now(), batchSpans-before)
		if n == 0 || err != nil {
			break
		}
		if s.builder.Len() >= batchSpans {
			s.flush(ctx)
		}
	}
	s.flush(ctx)
}

// read takes what is in the ring, waiting until the deadline for something.
func (s *spans) read(ctx context.Context, deadline time.Time) error {
	n, err := s.take(ctx, deadline, batchSpans-s.builder.Len())
	s.idle = n == 0
	if errors.Is(err, os.ErrClosed) {
		return err
	}
	if err != nil {
		err = fmt.Errorf("read calls: %w", err)
	}
	s.status.set(conditionRing, err)
	return err
}

func (s *spans) take(ctx context.Context, deadline time.Time, limit int) (int, error) {
	return s.source.Read(deadline, limit, reading{s, ctx})
}

// reading is a spans while it takes what is in the ring, which ends when ctx does.
type reading struct {
	*spans
	ctx context.Context
}

// Call adds a span to the batch, or to a new one if it has no room for it.
func (s reading) Call(c *record.Call) {
	resource := s.processes.Get(c.Process)
	if !s.builder.Fits(c, resource, spansBytes) {
		s.flush(s.ctx)
	}
	if s.builder.Len() == 0 {
		s.begun = time.Now()
		s.builder.SetClock(s.wallMinusMonotonic())
	}
	span := s.builder.Add(c, resource)
	s.candidates = append(s.candidates, exemplarCandidate{c.SeriesKey(), metrics.Exemplar{
		Duration: c.Duration, At: span.End, TraceID: span.TraceID, SpanID: span.SpanID,
	}})
}

// shown is a call that a span of the batch shows.
type exemplarCandidate struct {
	series   record.SeriesKey
	exemplar metrics.Exemplar
}

// Process learns who the calls that follow belong to.
func (s *spans) Process(p *record.Process) {
	if err := s.procfs.Complete(p); err != nil {
		s.logUnreadableEnvironment(err)
	}
	s.processes.Put(p.Key, workload.FromProcess(p, s.boot.Time(), s.procfs.CgroupLine(p)))
}

// unknownEnvironment says once that a privilege is missing, since that narrows
// what is known of every such process; that one has gone is normal.
func (s *spans) logUnreadableEnvironment(err error) {
	const message = "the environment of a process stays unknown, its service may be named after its executable"
	if errors.Is(err, os.ErrPermission) && !s.warned {
		s.warned = true
		s.logger.Warn(message+"; CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH allow to read it. This is said once", zap.Error(err))
		return
	}
	s.logger.Debug(message, zap.Error(err))
}

// Malformed counts a record that cannot be decoded. Kernel side and receiver
// are built together, so one such record means that all of its kind are bad.
func (s *spans) Malformed(err error) {
	s.counters.lost[lostMalformed].Add(1)
	if s.counters.malformed.Add(1) == 1 {
		s.logger.Error("a record from the kernel cannot be decoded; it and all later ones are counted, not logged", zap.Error(err))
	}
}

// flush sends the batch, if there is one.
func (s *spans) flush(ctx context.Context) {
	n := s.builder.Len()
	if n == 0 {
		return
	}
	batch, calls := s.builder.Take(), s.candidates
	s.candidates = s.candidates[:0]
	if ctx.Err() != nil {
		s.countLost(n, lostShutdown)
		return
	}
	s.disabled.removeFromTraces(batch)

	ctx = s.obsreport.StartTracesOp(ctx)
	left := n
	var held heldTraces
	defer held.release()
	held.hold(batch)
	err := deliver(ctx, retryLimit, func(ctx context.Context) error {
		err := s.next.ConsumeTraces(ctx, batch)
		var part consumererror.Traces
		if errors.As(err, &part) { // the rest was accepted and must not come again
			batch = ptrace.NewTraces() // the part may be the pipeline's, and not be there for long
			part.Data().CopyTo(batch)
			left = batch.SpanCount()
			held.hold(batch)
		}
		return err
	})
	if err == nil {
		left = 0
	}
	s.obsreport.EndTracesOp(ctx, dataFormat, n, err)
	s.counters.emitted.Add(uint64(n - left))
	if err == nil {
		for _, c := range calls { // of a batch accepted in part, nobody knows which
			s.exemplars.Put(c.series, c.exemplar)
		}
		s.status.set(conditionTraces, nil)
		return
	}
	s.countLost(left, lossReasonFor(ctx, err))
	s.status.set(conditionTraces, fmt.Errorf("spans are refused: %w", err))
}

func (s *spans) countLost(n int, reason lossReason) {
	s.counters.lost[reason].Add(uint64(n))
}

// pause waits, for d at the most.
func pause(ctx context.Context, stop <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop:
	case <-ctx.Done():
	}
}
