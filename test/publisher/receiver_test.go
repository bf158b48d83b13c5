// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// collector is a receiver of the spans and metrics of one executable's calls.
type collector struct {
	traces  consumertest.TracesSink
	metrics consumertest.MetricsSink
	end     func() // sends the rest
}

func collect(t *testing.T, executable string, set func(*getsockoptreceiver.Config)) *collector {
	t.Helper()
	c := &collector{}
	factory := getsockoptreceiver.NewFactory()
	config := factory.CreateDefaultConfig().(*getsockoptreceiver.Config)
	config.CollectionInterval = time.Second
	config.Spans.MaxPerSecond = 0
	config.Select.Executables = []string{executable}
	if set != nil {
		set(config)
	}
	settings := receivertest.NewNopSettings(factory.Type())
	traces, err := factory.CreateTraces(t.Context(), settings, config, &c.traces)
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := factory.CreateMetrics(t.Context(), settings, config, &c.metrics)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	c.end = sync.OnceFunc(func() {
		if err := traces.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := metrics.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(c.end)
	host := componenttest.NewNopHost()
	if err := traces.Start(ctx, host); err != nil {
		t.Fatal(err)
	}
	if err := metrics.Start(ctx, host); err != nil {
		t.Fatal(err)
	}
	return c
}

// resources returns the resources of the spans of an option's calls, in their order.
func (c *collector) resources(option int) (found []map[string]any) {
	for _, batch := range c.traces.AllTraces() {
		for _, rs := range batch.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if code, has := span.Attributes().Get(semconv.SocketOptionCode); has && code.Int() == int64(option) {
						found = append(found, rs.Resource().Attributes().AsRaw())
					}
				}
			}
		}
	}
	return found
}

// resource waits for the span of an option's only call, and returns its resource.
func (c *collector) resource(t *testing.T, option int) map[string]any {
	t.Helper()
	harness.Eventually(t, limit, "a span of the call", func() bool { return len(c.resources(option)) > 0 })
	return c.resources(option)[0]
}

// callsOf returns how many calls the metrics have counted in resources with these attributes.
// The last point of a group may be an earlier one: those of no running process end.
func (c *collector) callsOf(want map[string]any) (most int64) {
	for _, batch := range c.metrics.AllMetrics() {
		var calls int64
		for _, rm := range batch.ResourceMetrics().All() {
			if matches(rm.Resource().Attributes(), want) {
				calls += callsIn(rm)
			}
		}
		most = max(most, calls)
	}
	return most
}

func callsIn(rm pmetric.ResourceMetrics) (calls int64) {
	for _, sm := range rm.ScopeMetrics().All() {
		for _, m := range sm.Metrics().All() {
			if m.Name() != semconv.MetricSocketGetsockoptCalls {
				continue
			}
			for _, point := range m.Sum().DataPoints().All() {
				calls += point.IntValue()
			}
		}
	}
	return calls
}

func matches(attributes pcommon.Map, want map[string]any) bool {
	for key, value := range want {
		if got, found := attributes.Get(key); !found || got.AsRaw() != value {
			return false
		}
	}
	return true
}
