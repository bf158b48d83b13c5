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
	"github.com/getsockopt/getsockoptreceiver/internal/publisher"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/traces"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

const (
	// A batch is what one reading finds: at most batchSpans records, those of batchWait, and
	// no more than spansBytes.
	batchSpans = 512
	batchWait  = 400 * time.Millisecond
	// firstWait is how long the first reading waits: whoever starts a Collector waits for
	// spans.
	firstWait = 50 * time.Millisecond
	// readPause is the pause after an error of the ring buffer.
	readPause = time.Second
)

// spans reads the ring buffer and sends its calls as spans. One goroutine runs it.
type spans struct {
	source    source
	next      consumer.Traces
	obsreport *receiverhelper.ObsReport
	logger    *zap.Logger
	status    *status
	counters  *spanCounters
	disabled  disabledAttributes

	// wallMinusMonotonic is called when a batch begins: the wall clock may be set while
	// there are no calls.
	wallMinusMonotonic func() int64
	boot               *bootClock
	procfs             *workload.Procfs
	fallbacks          []record.NameFallback // of service.name
	peerParts          record.PeerParts      // of the series of exemplars

	builder    *traces.Builder
	groups     *workload.Groups
	processes  *processes
	publishers *publisher.Finder
	resources  *publisher.Resources
	exemplars  *metrics.Exemplars
	candidates []metrics.Candidate // one for each span of the batch
	warned     bool                // whether unreadable environments were logged
}

// run sends spans until stop is closed, then those that are still in the ring buffer. When
// ctx is done it sends nothing more and returns.
func (s *spans) run(ctx context.Context, stop <-chan struct{}) {
	deadline := time.Now().Add(firstWait)
	for {
		select {
		case <-stop:
			s.drain(ctx)
			return
		case <-ctx.Done():
			return
		default:
		}
		n, err := s.read(ctx, deadline)
		s.flush(ctx)
		switch {
		case errors.Is(err, os.ErrClosed):
			return
		case err != nil:
			pause(ctx, stop, readPause)
		case n == 0:
			s.source.Sleep(ctx, stop)
		}
		deadline = time.Now().Add(batchWait)
	}
}

// drain reads the ring buffer until it is empty, after the programs were detached.
func (s *spans) drain(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := s.take(ctx, time.Now())
		s.flush(ctx)
		if n == 0 || err != nil {
			return
		}
	}
}

// read reads the ring buffer, and waits for records until the deadline.
func (s *spans) read(ctx context.Context, deadline time.Time) (int, error) {
	n, err := s.take(ctx, deadline)
	if errors.Is(err, os.ErrClosed) {
		return n, err
	}
	if err != nil {
		err = fmt.Errorf("read calls: %w", err)
	}
	s.status.set(conditionRing, err)
	return n, err
}

func (s *spans) take(ctx context.Context, deadline time.Time) (int, error) {
	return s.source.Read(deadline, batchSpans, reading{s, ctx})
}

// reading is the probe.Handler of spans, with the context of one reading.
type reading struct {
	*spans
	ctx context.Context
}

// Call adds a span to the batch, or to a new one if the span does not fit.
func (s reading) Call(c *record.Call) {
	resource := s.processes.Get(c.Process)
	if !s.builder.Fits(c, resource, spansBytes) {
		s.flush(s.ctx)
	}
	if s.builder.Len() == 0 {
		s.builder.SetClock(s.wallMinusMonotonic())
	}
	span := s.builder.Add(c, resource)
	s.counters.parents[span.Parent].Add(1)
	s.candidates = append(s.candidates, metrics.Candidate{Series: c.SeriesKey(s.peerParts), Exemplar: metrics.Exemplar{
		Duration: c.Duration, At: span.End, TraceID: span.TraceID, SpanID: span.SpanID,
	}})
}

// Process adds the process of the calls that follow.
func (s *spans) Process(p *record.Process) {
	if err := s.procfs.Complete(p); err != nil {
		s.logUnreadableEnvironment(err)
	}
	s.publishers.Add(p.Key)
	resource := workload.FromProcess(p, s.boot.Time(), s.procfs.CgroupLine(p), s.fallbacks, s.resources.Of(p.Key)...)
	if group, found := s.source.Group(p.Group); found {
		resource = s.groups.Name(resource, group)
	}
	s.processes.Put(p.Key, resource)
}

// logUnreadableEnvironment warns once of a missing privilege, which affects every such
// process. That a process has exited meanwhile is normal.
func (s *spans) logUnreadableEnvironment(err error) {
	const message = "Cannot read the environment of a process; service.name comes from service_name_fallback"
	if errors.Is(err, os.ErrPermission) && !s.warned {
		s.warned = true
		s.logger.Warn(message+". Grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. Logged once", zap.Error(err))
		return
	}
	s.logger.Debug(message, zap.Error(err))
}

// Malformed counts a record that cannot be decoded. The BPF programs and the receiver are
// built together, so one such record means that all records of its kind are malformed.
func (s *spans) Malformed(err error) {
	s.counters.lost[lostMalformed].Add(1)
	if s.counters.malformed.Add(1) == 1 {
		s.logger.Error("Cannot decode a record of the ring buffer. Later ones are counted, not logged", zap.Error(err))
	}
}

// flush sends the batch, unless it is empty.
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
		if errors.As(err, &part) { // the rest was accepted and must not be sent again
			batch = ptrace.NewTraces() // the part may belong to the pipeline, which may reuse it
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
		s.exemplars.Put(calls...) // it is not known which spans of a partly accepted batch were
		s.status.set(conditionTraces, nil)
		return
	}
	s.countLost(left, lossReasonFor(ctx, err))
	s.status.set(conditionTraces, fmt.Errorf("spans are refused: %w", err))
}

func (s *spans) countLost(n int, reason lossReason) {
	s.counters.lost[reason].Add(uint64(n))
}

// pause waits for at most d.
func pause(ctx context.Context, stop <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop:
	case <-ctx.Done():
	}
}
