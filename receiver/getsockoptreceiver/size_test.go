// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/metrics"
	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// backend is an OTLP server with gRPC's own limits, and the way to it.
type backend struct {
	ptraceotlp.UnimplementedGRPCServer
	points pointsServer
	traces ptraceotlp.GRPCClient
	client pmetricotlp.GRPCClient

	mu       sync.Mutex
	spans    map[int64]int // by process
	requests int
}

type pointsServer struct {
	pmetricotlp.UnimplementedGRPCServer
	mu       sync.Mutex
	services map[string]int // points of socket.getsockopt.calls at the last time
	at       int64
	requests int
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{spans: map[int64]int{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, b)
	pmetricotlp.RegisterGRPCServer(server, &b.points)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, connection.Close())
		server.Stop()
		assert.NoError(t, <-served)
	})
	b.traces, b.client = ptraceotlp.NewGRPCClient(connection), pmetricotlp.NewGRPCClient(connection)
	return b
}

func (b *backend) Export(_ context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	for _, rs := range request.Traces().ResourceSpans().All() {
		pid, _ := rs.Resource().Attributes().Get("process.pid")
		for _, ss := range rs.ScopeSpans().All() {
			b.spans[pid.Int()] += ss.Spans().Len()
		}
	}
	return ptraceotlp.NewExportResponse(), nil
}

func (p *pointsServer) Export(_ context.Context, request pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	for _, rm := range request.Metrics().ResourceMetrics().All() {
		for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
			if m.Name() != "socket.getsockopt.calls" {
				continue
			}
			for _, point := range m.Sum().DataPoints().All() {
				if point.IntValue() == 0 {
					continue // precedes a new point
				}
				if at := int64(point.Timestamp()); at != p.at {
					p.at, p.services = at, map[string]int{}
				}
				service, _ := rm.Resource().Attributes().Get("service.name")
				p.services[service.Str()]++
			}
		}
	}
	return pmetricotlp.NewExportResponse(), nil
}

func (*backend) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// permanent is what an exporter makes of a message that is too large.
func permanent(err error) error {
	if grpcstatus.Code(err) == codes.ResourceExhausted {
		return consumererror.NewPermanent(err)
	}
	return err
}

func (b *backend) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	_, err := b.traces.Export(ctx, ptraceotlp.NewExportRequestFromTraces(td))
	return permanent(err)
}

func (b *backend) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	_, err := b.client.Export(ctx, pmetricotlp.NewExportRequestFromMetrics(md))
	return permanent(err)
}

// fill gives the source so many services, each with a series of one call.
func (f *fakeSource) fill(series int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range series {
		id := uint32(i + 1)
		f.snapshot.Groups[id] = record.Group{ID: id, Origin: record.OriginServiceName, Name: fmt.Sprint("service ", i)}
		s := record.Series{SeriesKey: record.SeriesKey{Group: id, Level: unix.SOL_SOCKET, Option: unix.SO_TYPE}, Sum: 500, Buckets: make([]uint64, histogram.Buckets)}
		s.Buckets[histogram.Index(500)] = 1
		f.snapshot.Series = append(f.snapshot.Series, s)
		f.snapshot.Counters.Seen++
	}
}

// However many series there are, a server with the limit that gRPC has by itself
// takes all of them.
func TestManySeriesReachAGRPCServer(t *testing.T) {
	const series = 20_000
	next := newBackend(t)
	r := newRig(t, next, next)
	r.config.CollectionInterval = time.Hour
	r.source.fill(series)
	r.start(t)
	r.shutdown(t)
	assert.Len(t, next.points.services, series)
	for service, n := range next.points.services {
		require.Equal(t, 1, n, "points of %s", service)
	}
	assert.Greater(t, next.points.requests, 1)
	assert.NotEqual(t, componentstatus.StatusRecoverableError, r.metricsHost.last().Status())
}

// However large the resources of processes are, its spans arrive.
func TestLargeResourcesReachAGRPCServer(t *testing.T) {
	const processes = 1100
	next := newBackend(t)
	r := newRig(t, next, next)
	r.config.CollectionInterval = time.Hour
	text := strings.Repeat("v", 4000)
	for pid := range uint32(processes) {
		key := record.ProcessKey{PID: pid + 1, Start: 1}
		r.source.push(func(h probe.Handler) {
			h.Process(&record.Process{Key: key, Environment: []string{"OTEL_RESOURCE_ATTRIBUTES=service.name=large,text=" + text}})
		})
		r.source.call(key.PID, 3, 1)
	}
	r.start(t)
	r.shutdown(t)
	assert.Len(t, next.spans, processes)
	for pid, n := range next.spans {
		require.Equal(t, 1, n, "spans of process %d", pid)
	}
	assert.Greater(t, next.requests, 1)
	r.expectSum(t, "emitted", processes)
	r.expectSum(t, "lost", 0)
}

// choosy refuses the batches of metrics that have the durations of one service.
type choosy struct {
	sink
	service  string
	accepted []pmetric.Metrics
}

var errChosen = errors.New("not this one")

func (c *choosy) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range durations(md) {
		if h.service == c.service {
			return consumererror.NewPermanent(errChosen)
		}
	}
	c.accepted = append(c.accepted, md)
	return nil
}

type serviceDurations struct {
	service string
	points  pmetric.ExponentialHistogramDataPointSlice
}

func durations(md pmetric.Metrics) (all []serviceDurations) {
	for _, rm := range md.ResourceMetrics().All() {
		service, _ := rm.Resource().Attributes().Get("service.name")
		for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
			if m.Type() == pmetric.MetricTypeExponentialHistogram {
				all = append(all, serviceDurations{service.Str(), m.ExponentialHistogram().DataPoints()})
			}
		}
	}
	return all
}

// When one of several batches is refused the others are sent all the same, and
// only its points count as refused and only its exemplars come again.
func TestOneOfManyBatchesIsRefused(t *testing.T) {
	const series, refused = 20_000, 1_234
	next := &choosy{service: fmt.Sprint("service ", refused)}
	r := newRig(t, &sink{}, next)
	r.source.fill(series)
	r.config.CollectionInterval = time.Hour
	r.start(t)
	h := r.metrics.(signalComponent).session.reader
	for group := uint32(1); group <= series; group++ {
		h.exemplars.Put(metrics.Candidate{Series: record.SeriesKey{Group: group, Level: unix.SOL_SOCKET, Option: unix.SO_TYPE}, Exemplar: metrics.Exemplar{Duration: 500, At: 1}})
	}
	held := h.exemplars.Take()
	h.exemplars.Return(held)
	h.collect(t.Context(), 0)

	r.metricsHost.await(t, componentstatus.StatusRecoverableError, "metrics are refused: Permanent error: not this one")
	var points, exemplars int
	for _, batch := range next.accepted {
		points += batch.DataPointCount()
		for _, h := range durations(batch) {
			for _, p := range h.points.All() {
				exemplars += p.Exemplars().Len()
			}
		}
	}
	back := h.exemplars.Take()
	assert.NotEmpty(t, back)
	assert.NotZero(t, exemplars)
	assert.Len(t, held, exemplars+len(back), "every exemplar was sent or comes again")
	assert.EqualValues(t, points, r.points(t, "accepted"))
	assert.EqualValues(t, 4*series-points, r.points(t, "refused"))

	next.mu.Lock()
	next.service = ""
	next.mu.Unlock()
	h.exemplars.Return(back)
	h.collect(t.Context(), 0)
	r.metricsHost.await(t, componentstatus.StatusOK, "")
	assert.Empty(t, h.exemplars.Take())
	r.shutdown(t)
}

// points is what the Collector counts of the receiver's points.
func (r *rig) points(t *testing.T, outcome string) (n int64) {
	t.Helper()
	m, err := r.telemetry.GetMetric("otelcol_receiver_" + outcome + "_metric_points")
	require.NoError(t, err)
	for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
		n += point.Value
	}
	return n
}
