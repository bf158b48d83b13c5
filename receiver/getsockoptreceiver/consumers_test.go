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
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

var errFull = errors.New("queue is full")

// TestConsumerRefusesForAWhile: nothing is lost, and the status reports it
// meanwhile.
func TestConsumerRefusesForAWhile(t *testing.T) {
	spans, points := &sink{err: errFull}, &sink{err: errFull}
	r := newRig(t, spans, points)
	r.start(t)
	r.source.call(7, 3, 1)
	r.metricsHost.await(t, componentstatus.StatusRecoverableError, "metrics are refused: queue is full")
	require.Eventually(t, func() bool { return spans.tried() >= 2 }, eventually, time.Millisecond)
	spans.set(nil)
	points.set(nil)
	require.Eventually(t, func() bool { return spans.accepted() == 1 && points.calls() == 1 }, eventually, time.Millisecond)
	r.tracesHost.await(t, componentstatus.StatusOK, "")
	r.shutdown(t)
}

// TestConsumerRefusesPermanently: the batch is given up at once and counted, and
// the next one is offered.
func TestConsumerRefusesPermanently(t *testing.T) {
	next := &sink{err: consumererror.NewPermanent(errors.New("no such tenant"))}
	r := newRig(t, next, &sink{})
	r.start(t)
	r.source.call(7, 3, 1)
	r.tracesHost.await(t, componentstatus.StatusRecoverableError, "calls were lost: consumer_permanent")
	r.tracesHost.await(t, componentstatus.StatusRecoverableError, "spans are refused: ")
	assert.Equal(t, 1, next.tried())
	next.set(nil)
	r.source.call(7, 3, 1)
	require.Eventually(t, func() bool { return next.accepted() == 1 }, eventually, time.Millisecond)
	r.tracesHost.await(t, componentstatus.StatusOK, "")
	r.shutdown(t)
	r.expectSum(t, "lost", 1, "reason", "consumer_permanent")
	r.expectSum(t, "emitted", 1)
}

// TestConsumerTakesAPart: only the spans that a consumer did not accept are sent again.
func TestConsumerTakesAPart(t *testing.T) {
	next := &partial{}
	r := newRig(t, next, &sink{})
	r.config.CollectionInterval = time.Hour
	r.start(t)
	for i := range 4 {
		r.source.call(7, int32(i), 1)
	}
	r.shutdown(t)
	assert.Equal(t, 4, next.accepted())
	r.expectSum(t, "emitted", 4)
	r.expectSum(t, "lost", 0)
}

// partial takes the first span of each batch it is offered.
type partial struct{ sink }

func (p *partial) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	all := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	first := ptrace.NewTraces()
	all.At(0).CopyTo(first.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
	if err := p.sink.ConsumeTraces(ctx, first); err != nil || all.Len() == 1 {
		return err
	}
	rest := ptrace.NewTraces()
	td.CopyTo(rest)
	taken := false
	rest.ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(func(ptrace.Span) bool {
		was := taken
		taken = true
		return !was
	})
	return consumererror.NewTraces(errFull, rest)
}

// TestShutdownCountsUndeliveredSpans: spans that are still refused at the shutdown deadline
// are counted.
func TestShutdownCountsUndeliveredSpans(t *testing.T) {
	next := &sink{err: errFull}
	r := newRig(t, next, &sink{})
	r.start(t)
	r.source.call(7, 3, 1)
	require.Eventually(t, func() bool { return next.tried() > 0 }, eventually, time.Millisecond)
	r.source.call(7, 3, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	require.NoError(t, r.traces.Shutdown(ctx))
	require.NoError(t, r.metrics.Shutdown(t.Context()))
	r.expectSum(t, "lost", 2, "reason", "shutdown")
	r.expectSum(t, "in_flight", 0)
}

func TestDeliverRetriesForABoundedTime(t *testing.T) {
	tries := 0
	err := deliver(t.Context(), 100*time.Millisecond, func(context.Context) error {
		tries++
		return errFull
	})
	require.ErrorIs(t, err, errFull)
	assert.Greater(t, tries, 1)
	assert.Equal(t, lostConsumerRefused, lossReasonFor(t.Context(), err))
}

// TestStatusWhileTheRingCannotBeRead: the status names it until the ring can be read again.
func TestStatusWhileTheRingCannotBeRead(t *testing.T) {
	next := &sink{}
	r := newRig(t, next, &sink{})
	r.source.readErr = errors.New("ring is torn")
	r.start(t)
	r.tracesHost.await(t, componentstatus.StatusRecoverableError, "read calls: ring is torn")
	r.source.mu.Lock()
	r.source.readErr = nil
	r.source.mu.Unlock()
	r.source.call(7, 3, 1)
	require.Eventually(t, func() bool { return next.accepted() == 1 }, eventually, time.Millisecond)
	r.tracesHost.await(t, componentstatus.StatusOK, "")
	r.shutdown(t)
}

// TestSpanBelongsToItsProcess: a call belongs to the process whose record came before it, and
// one of an unknown process is kept all the same.
func TestSpanBelongsToItsProcess(t *testing.T) {
	next := &sink{}
	r := newRig(t, next, &sink{})
	r.config.ResourceAttributes.ProcessExecutablePath.Enabled = false
	r.start(t)
	r.source.push(func(h probe.Handler) {
		h.Process(&record.Process{Key: record.ProcessKey{PID: 7, Start: 1}, ExecutableName: "curl", ExecutablePath: "/usr/bin/curl"})
	})
	r.source.call(7, 3, 1)
	r.source.call(8, 3, 1)
	r.shutdown(t)
	names := map[int64]string{}
	for _, batch := range next.batches {
		for _, rs := range batch.ResourceSpans().All() {
			attributes := rs.Resource().Attributes()
			pid, _ := attributes.Get("process.pid")
			name, _ := attributes.Get("service.name")
			names[pid.Int()] = name.Str()
			_, found := attributes.Get("process.executable.path")
			assert.False(t, found, "it is turned off")
		}
	}
	assert.Equal(t, map[int64]string{7: "curl", 8: ""}, names)
}

func TestProcessesAreBounded(t *testing.T) {
	p := newProcesses()
	p.alive = func(pid uint32) bool { return pid == 1 }
	key := func(pid uint32) record.ProcessKey { return record.ProcessKey{PID: pid, Start: 1} }
	some := &workload.Resource{}
	for pid := range uint32(20 * sweepAfter) {
		p.Put(key(pid+1), some)
		if pid >= keptSweeps*sweepAfter {
			require.NotNil(t, p.byPID[pid+2-keptSweeps*sweepAfter], "calls of a process that has gone may follow")
		}
	}
	assert.LessOrEqual(t, len(p.byPID), (keptSweeps+1)*sweepAfter+1, "those that have gone are forgotten")
	assert.NotNil(t, p.Get(key(1)), "a process that runs is kept, however quiet")
	assert.Nil(t, p.Get(record.ProcessKey{PID: 1, Start: 1, ExecID: 1}), "another image of it is not it")

	p.alive = func(uint32) bool { return true }
	for pid := range uint32(2 * maxProcesses) {
		p.Put(key(pid+1), some)
		require.LessOrEqual(t, len(p.byPID), maxProcesses+1)
	}
}
