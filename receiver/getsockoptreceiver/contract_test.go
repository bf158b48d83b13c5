// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver/internal/metadata"
)

// TestConsumeContractTraces: each span arrives once, or is dropped permanently.
func TestConsumeContractTraces(t *testing.T) { checkContract(t, pipeline.SignalTraces) }

// TestConsumeContractMetrics: the calls of each series arrive, or are dropped
// permanently. Metrics are cumulative, so a series comes again with every
// collection: the checker receives it until it has accepted or refused it.
func TestConsumeContractMetrics(t *testing.T) { checkContract(t, pipeline.SignalMetrics) }

func checkContract(t *testing.T, signal pipeline.Signal) {
	g := &generator{}
	config := createDefaultConfig().(*Config)
	config.CollectionInterval = 10 * time.Millisecond
	config.Metrics.SocketGetsockoptDuration.Enabled = false
	receivertest.CheckConsumeContract(receivertest.CheckConsumeContractParams{
		T:             t,
		Factory:       contractFactory(newFactory(g.open)),
		Signal:        signal,
		Config:        config,
		Generator:     g,
		GenerateCount: 500,
	})
}

// generator makes calls of one service each, in whichever source is current.
type generator struct {
	mu      sync.Mutex
	source  *fakeSource
	service atomic.Uint32
}

func (g *generator) open(context.Context, probe.Options) (source, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.source = newFakeSource()
	return g.source, nil
}

func (*generator) Start() {}
func (*generator) Stop()  {}

func (g *generator) Generate() []receivertest.UniqueIDAttrVal {
	g.mu.Lock()
	s := g.source
	g.mu.Unlock()
	time.Sleep(5 * time.Millisecond) // otherwise all goes into one batch
	id := g.service.Add(1)
	name := strconv.Itoa(int(id))
	s.group(id, name)
	s.callIn(id, id, 3, unix.SO_TYPE)
	return []receivertest.UniqueIDAttrVal{receivertest.UniqueIDAttrVal(name)}
}

// contractFactory shows the checker its own attribute in place of the service.
func contractFactory(f receiver.Factory) receiver.Factory {
	return receiver.NewFactory(metadata.Type, f.CreateDefaultConfig,
		receiver.WithTraces(func(ctx context.Context, set receiver.Settings, c component.Config, next consumer.Traces) (receiver.Traces, error) {
			return f.CreateTraces(ctx, set, c, markTraces{next})
		}, component.StabilityLevelAlpha),
		receiver.WithMetrics(func(ctx context.Context, set receiver.Settings, c component.Config, next consumer.Metrics) (receiver.Metrics, error) {
			return f.CreateMetrics(ctx, set, c, &markMetrics{Metrics: next, answered: map[string]bool{}})
		}, component.StabilityLevelAlpha))
}

type markTraces struct{ consumer.Traces }

func (m markTraces) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			pid, _ := rs.Resource().Attributes().Get("process.pid")
			for _, span := range ss.Spans().All() {
				span.Attributes().PutStr(receivertest.UniqueIDAttrName, strconv.FormatInt(pid.Int(), 10))
			}
		}
	}
	return m.Traces.ConsumeTraces(ctx, td)
}

type markMetrics struct {
	consumer.Metrics
	answered map[string]bool
}

func (m *markMetrics) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	var names []string
	md.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		name, _ := rm.Resource().Attributes().Get("service.name")
		for _, sm := range rm.ScopeMetrics().All() {
			for _, metric := range sm.Metrics().All() {
				metric.Sum().DataPoints().RemoveIf(func(point pmetric.NumberDataPoint) bool {
					if m.answered[name.Str()] || point.IntValue() == 0 {
						return true
					}
					names = append(names, name.Str())
					point.Attributes().PutStr(receivertest.UniqueIDAttrName, name.Str())
					return false
				})
			}
		}
		return false
	})
	if len(names) == 0 {
		return nil
	}
	err := m.Metrics.ConsumeMetrics(ctx, md)
	if err == nil || consumererror.IsPermanent(err) {
		for _, name := range names {
			m.answered[name] = true
		}
	}
	return err
}
