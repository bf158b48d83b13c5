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
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/getsockopt/getsockoptreceiver/internal/metrics"
	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver/internal/metadata"
	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver/internal/metadatatest"
)

// sum adds up the points of one of the receiver's own metrics that have the
// given attributes (key, value, key, value).
func (r *rig) sum(t require.TestingT, name string, attributes ...string) (n int64) {
	m, err := r.telemetry.GetMetric("otelcol_receiver_getsockopt_" + name)
	require.NoError(t, err)
	data, ok := m.Data.(metricdata.Sum[int64])
	require.True(t, ok, name)
point:
	for _, point := range data.DataPoints {
		for i := 0; i < len(attributes); i += 2 {
			if v, _ := point.Attributes.Value(attribute.Key(attributes[i])); v.AsString() != attributes[i+1] {
				continue point
			}
		}
		n += point.Value
	}
	return n
}

func (r *rig) expectSum(t *testing.T, name string, want int64, attributes ...string) {
	t.Helper()
	assert.Equal(t, want, r.sum(t, name, attributes...), "%s %v", name, attributes)
}

// TestTelemetryGoesOnWhileMetricsAreBlocked: the receiver's own account does not
// wait for whoever takes its metrics.
func TestTelemetryGoesOnWhileMetricsAreBlocked(t *testing.T) {
	release := make(chan struct{})
	spans, points := &sink{}, &sink{block: func(context.Context) error { <-release; return nil }}
	r := newRig(t, spans, points)
	r.start(t)
	r.source.call(7, 3, 1)
	require.Eventually(t, func() bool { return points.tried() > 0 }, eventually, time.Millisecond)
	r.source.call(7, 3, 1)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.EqualValues(c, 2, r.sum(c, "seen"))
		require.EqualValues(c, 2, r.sum(c, "emitted"))
	}, eventually, 5*time.Millisecond)
	assert.Equal(t, 1, points.tried())
	close(release)
	r.shutdown(t)
}

// TestTelemetryBalances: at rest both equations hold exactly.
func TestTelemetryBalances(t *testing.T) {
	next := &sink{}
	r := newRig(t, next, next)
	r.source.snapshot.Counters = record.Counters{
		Seen: 1 + 2 + 3 + 4 + 5 + 6 + 7 + 13, Filtered: 1, NoEntry: 2, NoExit: 3, NoStorage: 4, NoCompletion: 7, Seccomp: 13, SampledOut: 5, RingFull: 6,
		ProcessLost: 7, ValueReadErrors: 8, LengthReadErrors: 9, SeriesOverflow: 10, GroupOverflow: 11, MissedRuns: 12,
		EnvironmentOverwritten: 13, VariableCut: 14, PathCut: 15, CgroupCut: 16,
		ParentUnreadable: 17, ParentMalformed: 18, ParentDeferred: 19,
	}
	for range 5 + 6 {
		r.source.series(1)
	}
	r.start(t)
	for range 17 {
		r.source.call(7, 3, 1)
	}
	for range 3 {
		r.source.child(7, 3, 1, record.Parent{TraceID: [16]byte{1}, SpanID: [8]byte{1}, Source: record.SourceGoLabels})
	}
	// A process that is gone before its environment is completed.
	r.source.push(func(h probe.Handler) {
		h.Process(&record.Process{Key: record.ProcessKey{PID: 1 << 30}, EnvironmentLost: true})
	})
	r.source.push(func(h probe.Handler) { h.Malformed(errors.New("cut short")) })
	r.source.count(func(c *record.Counters) { c.Seen++; c.Submitted++ })
	r.source.series(1)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.EqualValues(c, 20, r.sum(c, "emitted"))
		require.EqualValues(c, 1, r.sum(c, "malformed"))
	}, eventually, 5*time.Millisecond)

	point := func(value int64, attributes ...attribute.KeyValue) metricdata.DataPoint[int64] {
		attributes = append(attributes, attribute.String("receiver", "getsockopt"))
		return metricdata.DataPoint[int64]{Value: value, Attributes: attribute.NewSet(attributes...)}
	}
	reason := func(r string) attribute.KeyValue { return attribute.String("reason", r) }
	loose := metricdatatest.IgnoreTimestamp()
	type points = []metricdata.DataPoint[int64]
	metadatatest.AssertEqualReceiverGetsockoptSeen(t, r.telemetry, points{point(62)}, loose)
	metadatatest.AssertEqualReceiverGetsockoptFiltered(t, r.telemetry, points{point(1)}, loose)
	metadatatest.AssertEqualReceiverGetsockoptSampledOut(t, r.telemetry, points{point(5)}, loose)
	metadatatest.AssertEqualReceiverGetsockoptEmitted(t, r.telemetry, points{point(20)}, loose)
	metadatatest.AssertEqualReceiverGetsockoptLost(t, r.telemetry, points{
		point(2, reason("no_entry")), point(3, reason("no_exit")), point(4, reason("no_storage")), point(7, reason("no_completion")), point(13, reason("seccomp")),
		point(6, reason("ring_full")), point(1, reason("malformed")), point(0, reason("consumer_refused")),
		point(0, reason("consumer_permanent")), point(0, reason("shutdown")),
	}, loose)
	metadatatest.AssertEqualReceiverGetsockoptUncounted(t, r.telemetry, points{
		point(2, reason("no_entry")), point(3, reason("no_exit")), point(4, reason("no_storage")), point(7, reason("no_completion")), point(13, reason("seccomp")),
	}, loose)
	metadatatest.AssertEqualReceiverGetsockoptInFlight(t, r.telemetry, points{
		point(0, attribute.String("signal", "traces")), point(0, attribute.String("signal", "metrics")),
	}, loose)
	metadatatest.AssertEqualReceiverGetsockoptMalformed(t, r.telemetry, points{point(1)}, loose)
	metadatatest.AssertEqualReceiverGetsockoptProcessesLost(t, r.telemetry, points{point(7)}, loose)
	source := func(s string) attribute.KeyValue { return attribute.String("source", s) }
	metadatatest.AssertEqualReceiverGetsockoptParents(t, r.telemetry, points{
		point(0, source("thread_context")), point(3, source("go_labels")), point(0, source("obi")),
	}, loose)
	metadatatest.AssertEqualReceiverGetsockoptParentsUnread(t, r.telemetry, points{
		point(17, reason("unreadable")), point(18, reason("malformed")), point(19, reason("deferred")),
	}, loose)
	metadatatest.AssertEqualReceiverGetsockoptReadErrors(t, r.telemetry, points{
		point(8, attribute.String("field", "value")), point(9, attribute.String("field", "length")),
	}, loose)
	metadatatest.AssertEqualReceiverGetsockoptExpired(t, r.telemetry, points{point(0)}, loose)
	metadatatest.AssertEqualReceiverGetsockoptSeriesOverflow(t, r.telemetry, points{point(10)}, loose)
	metadatatest.AssertEqualReceiverGetsockoptGroupOverflow(t, r.telemetry, points{point(11)}, loose)
	metadatatest.AssertEqualReceiverGetsockoptMissedRuns(t, r.telemetry, points{point(12)}, loose)
	metadatatest.AssertEqualReceiverGetsockoptIdentityIncomplete(t, r.telemetry, points{
		point(1, reason("environment_unavailable")), point(13, reason("environment_overwritten")),
		point(14, reason("variable_cut")), point(15, reason("path_cut")), point(16, reason("cgroup_cut")),
	}, loose)
	metadatatest.AssertEqualReceiverGetsockoptHook(t, r.telemetry, points{point(1, attribute.String("hook", "raw_tracepoint"))}, loose)
	entry := func(e string) attribute.KeyValue { return attribute.String("entry", e) }
	metadatatest.AssertEqualReceiverGetsockoptEntryUncovered(t, r.telemetry, points{
		point(0, entry("syscall")), point(1, entry("syscall_compat")), point(0, entry("socketcall")), point(0, entry("io_uring")),
	}, loose)
	metadatatest.AssertEqualReceiverGetsockoptRingUsed(t, r.telemetry, points{point(0)}, loose)
	metadatatest.AssertEqualReceiverGetsockoptRingSize(t, r.telemetry, points{point(4096)}, loose)
	metadatatest.AssertEqualReceiverGetsockoptSeries(t, r.telemetry, points{point(1)}, loose)
	metadatatest.AssertEqualReceiverGetsockoptSeriesLimit(t, r.telemetry, points{point(2000)}, loose)
	metadatatest.AssertEqualReceiverGetsockoptGroups(t, r.telemetry, points{point(1)}, loose)
	metadatatest.AssertEqualReceiverGetsockoptGroupsLimit(t, r.telemetry, points{point(1023)}, loose)
	accepted, err := r.telemetry.GetMetric("otelcol_receiver_accepted_spans")
	require.NoError(t, err)
	assert.EqualValues(t, 20, accepted.Data.(metricdata.Sum[int64]).DataPoints[0].Value)

	r.shutdown(t)
	r.expectSum(t, "emitted", 20)
	_, err = r.telemetry.GetMetric("otelcol_receiver_getsockopt_hook")
	assert.Error(t, err, "no hook is in use any more")
}

// TestTelemetryBalancesUnderLoad: counters that are read during calls do not belong to one
// instant, but in_flight is never negative and seen never decreases.
func TestTelemetryBalancesUnderLoad(t *testing.T) {
	s := &record.Snapshot{Counters: record.Counters{Seen: 10, Submitted: 8}}
	a := newAccount(counts{emitted: 7}, s, metrics.Calls{}, "fentry", true, nil)
	assert.EqualValues(t, 3, a.inFlight.traces)
	assert.EqualValues(t, 10, a.inFlight.metrics)

	s.Counters.Filtered = 6 // more is accounted for than was seen when it was read
	b := newAccount(counts{emitted: 7}, s, metrics.Calls{Sent: 2, Expired: 1}, "fentry", true, a)
	assert.EqualValues(t, 13, b.seen)
	assert.Zero(t, b.inFlight.traces)
	assert.EqualValues(t, 4, b.inFlight.metrics)

	s.Counters.Filtered = 0
	c := newAccount(counts{}, s, metrics.Calls{}, "fentry", false, b)
	assert.EqualValues(t, 13, c.seen)
	assert.Zero(t, c.inFlight.traces)
}

// TestMalformedIsLoggedOnce: each malformed record is counted, and one is logged.
func TestMalformedIsLoggedOnce(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	set := receivertest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	src := newFakeSource()
	next := &sink{}
	c, err := newFactory(src.open).CreateTraces(t.Context(), set, createDefaultConfig(), next)
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context(), newStatusHost()))
	for range 100 {
		src.push(func(h probe.Handler) { h.Malformed(errors.New("version 9, not 1")) })
	}
	src.call(7, 3, 1)
	require.NoError(t, c.Shutdown(t.Context()))
	assert.Equal(t, 1, next.accepted(), "the others go on")
	bad := logs.FilterMessageSnippet("Cannot decode").All()
	require.Len(t, bad, 1)
	assert.Equal(t, "version 9, not 1", bad[0].ContextMap()["error"])
}
