// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver/internal/metadata"
)

// telemetry is the self-telemetry of a receiver through the Collector's meter. One callback
// reports the last account as a whole. It is safe for concurrent use.
//
// It stays registered after the receiver has stopped, because the Collector exports its
// metrics a last time after it has stopped its receivers, and the last account has the
// losses of the shutdown. The hook and the fill of the ring buffer and the tables, which no
// longer exist then, are not reported any more.
type telemetry struct {
	instruments *metadata.TelemetryBuilder
	receiver    attribute.KeyValue // the receiver's id
	last        atomic.Pointer[account]
	stopped     atomic.Bool
}

func newTelemetry(id component.ID, settings component.TelemetrySettings) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(settings)
	if err != nil {
		return nil, fmt.Errorf("create the instruments of self-telemetry: %w", err)
	}
	t := &telemetry{instruments: builder, receiver: attribute.String("receiver", id.String())}
	_, err = metadata.Meter(settings).RegisterCallback(t.observe,
		builder.ReceiverGetsockoptEmitted,
		builder.ReceiverGetsockoptEntryUncovered,
		builder.ReceiverGetsockoptExpired,
		builder.ReceiverGetsockoptFiltered,
		builder.ReceiverGetsockoptGroupOverflow,
		builder.ReceiverGetsockoptGroups,
		builder.ReceiverGetsockoptGroupsLimit,
		builder.ReceiverGetsockoptHook,
		builder.ReceiverGetsockoptIdentityIncomplete,
		builder.ReceiverGetsockoptInFlight,
		builder.ReceiverGetsockoptLost,
		builder.ReceiverGetsockoptMalformed,
		builder.ReceiverGetsockoptParents,
		builder.ReceiverGetsockoptParentsUnread,
		builder.ReceiverGetsockoptProcessesLost,
		builder.ReceiverGetsockoptRingSize,
		builder.ReceiverGetsockoptRingUsed,
		builder.ReceiverGetsockoptSampledOut,
		builder.ReceiverGetsockoptSeen,
		builder.ReceiverGetsockoptSeries,
		builder.ReceiverGetsockoptSeriesLimit,
		builder.ReceiverGetsockoptSeriesOverflow,
		builder.ReceiverGetsockoptMissedRuns,
		builder.ReceiverGetsockoptUncounted,
		builder.ReceiverGetsockoptReadErrors,
	)
	if err != nil {
		return nil, fmt.Errorf("register the callback of self-telemetry: %w", err)
	}
	return t, nil
}

func (t *telemetry) observe(_ context.Context, o metric.Observer) error {
	a := t.last.Load()
	if a == nil {
		return nil
	}
	t.observeCalls(o, a)
	if !t.stopped.Load() {
		t.observeState(o, a)
	}
	return nil
}

// observeCalls reports the counters, and the calls in flight.
func (t *telemetry) observeCalls(o metric.Observer, a *account) {
	i := t.instruments
	count := func(counter metric.Int64Observable, n uint64, attributes ...attribute.KeyValue) {
		t.report(o, counter, int64(n), attributes...)
	}
	count(i.ReceiverGetsockoptSeen, a.seen)
	count(i.ReceiverGetsockoptFiltered, a.kernel.Filtered)
	count(i.ReceiverGetsockoptExpired, a.calls.Expired)
	count(i.ReceiverGetsockoptSeriesOverflow, a.kernel.SeriesOverflow+a.calls.Moved)
	count(i.ReceiverGetsockoptGroupOverflow, a.kernel.GroupOverflow)
	count(i.ReceiverGetsockoptMissedRuns, a.kernel.MissedRuns)
	count(i.ReceiverGetsockoptInFlight, a.inFlight.metrics, attribute.String("signal", "metrics"))
	for reason, n := range map[string]uint64{
		"environment_unavailable": a.incomplete.EnvironmentUnavailable,
		"environment_overwritten": a.incomplete.EnvironmentOverwritten + a.kernel.EnvironmentOverwritten,
		"variable_cut":            a.incomplete.VariableCut + a.kernel.VariableCut,
		"path_cut":                a.kernel.PathCut,
		"cgroup_cut":              a.kernel.CgroupCut,
	} {
		count(i.ReceiverGetsockoptIdentityIncomplete, n, attribute.String("reason", reason))
	}
	unpaired := map[string]uint64{
		"no_entry": a.kernel.NoEntry, "no_exit": a.kernel.NoExit, "no_storage": a.kernel.NoStorage,
		"no_completion": a.kernel.NoCompletion,
		"seccomp":       a.kernel.Seccomp,
	}
	for reason, n := range unpaired {
		count(i.ReceiverGetsockoptUncounted, n, attribute.String("reason", reason))
	}
	if !a.hasTraces {
		return
	}
	count(i.ReceiverGetsockoptSampledOut, a.kernel.SampledOut)
	count(i.ReceiverGetsockoptEmitted, a.user.emitted)
	for reason, n := range unpaired {
		count(i.ReceiverGetsockoptLost, n, attribute.String("reason", reason))
	}
	count(i.ReceiverGetsockoptLost, a.kernel.RingFull, attribute.String("reason", "ring_full"))
	for reason, n := range a.user.lost {
		count(i.ReceiverGetsockoptLost, n, attribute.String("reason", lossReason(reason).String()))
	}
	count(i.ReceiverGetsockoptInFlight, a.inFlight.traces, attribute.String("signal", "traces"))
	count(i.ReceiverGetsockoptMalformed, a.user.malformed)
	count(i.ReceiverGetsockoptProcessesLost, a.kernel.ProcessLost)
	for source := record.SourceNone + 1; source < record.Sources; source++ {
		count(i.ReceiverGetsockoptParents, a.user.parents[source], attribute.String("source", source.String()))
	}
	for reason, n := range map[string]uint64{
		"unreadable": a.kernel.ParentUnreadable, "malformed": a.kernel.ParentMalformed, "deferred": a.kernel.ParentDeferred,
	} {
		count(i.ReceiverGetsockoptParentsUnread, n, attribute.String("reason", reason))
	}
	count(i.ReceiverGetsockoptReadErrors, a.kernel.ValueReadErrors, attribute.String("field", "value"))
	count(i.ReceiverGetsockoptReadErrors, a.kernel.LengthReadErrors, attribute.String("field", "length"))
}

// observeState reports what exists only while the receiver runs.
func (t *telemetry) observeState(o metric.Observer, a *account) {
	i := t.instruments
	t.report(o, i.ReceiverGetsockoptHook, 1, attribute.String("hook", a.hook))
	for entry := record.EntrySyscall; entry <= record.EntryIOUring; entry++ {
		var uncovered int64
		if slices.Contains(a.uncovered, entry) {
			uncovered = 1
		}
		t.report(o, i.ReceiverGetsockoptEntryUncovered, uncovered, attribute.String("entry", entry.String()))
	}
	t.report(o, i.ReceiverGetsockoptRingUsed, int64(a.fill.ringBytes))
	t.report(o, i.ReceiverGetsockoptRingSize, int64(a.fill.ringSize))
	t.report(o, i.ReceiverGetsockoptSeries, int64(a.fill.seriesEntries))
	t.report(o, i.ReceiverGetsockoptSeriesLimit, int64(a.fill.seriesLimit))
	t.report(o, i.ReceiverGetsockoptGroups, int64(a.fill.groupEntries))
	t.report(o, i.ReceiverGetsockoptGroupsLimit, int64(a.fill.groupLimit))
}

// report adds the receiver's id, which distinguishes several receivers of one Collector.
func (t *telemetry) report(o metric.Observer, instrument metric.Int64Observable, n int64, attributes ...attribute.KeyValue) {
	o.ObserveInt64(instrument, n, metric.WithAttributes(append(attributes, t.receiver)...))
}
