// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"sync"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/internal/otlpsink"
)

// gateway takes what the agent sends. A key is the id of a container, or the name of a
// service outside of containers.
type gateway struct {
	mu      sync.Mutex
	spans   map[string][]resource // one for each span
	metrics map[string]sample     // as last sent
}

type (
	resource map[string]any
	sample   struct {
		resource resource
		calls    int64
	}
)

func key(r resource) string {
	if id, found := r["container.id"].(string); found {
		return id
	}
	service, _ := r["service.name"].(string)
	return service
}

func newGateway(t *testing.T) (g *gateway, address string) {
	t.Helper()
	g = &gateway{spans: map[string][]resource{}, metrics: map[string]sample{}}
	return g, otlpsink.ServeGRPC(t, g.take)
}

func (g *gateway) take(b otlpsink.Batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if b.Traces != nil {
		for r := range otlpsink.Spans(*b.Traces) {
			attributes := resource(r.Attributes().AsRaw())
			g.spans[key(attributes)] = append(g.spans[key(attributes)], attributes)
		}
		return
	}
	for r, m := range otlpsink.Metrics(*b.Metrics) {
		if m.Name() != "socket.getsockopt.calls" {
			continue
		}
		s := sample{resource: r.Attributes().AsRaw()}
		for _, p := range m.Sum().DataPoints().All() {
			s.calls += p.IntValue()
		}
		g.metrics[key(s.resource)] = s
	}
}

func (g *gateway) spansOf(key string) []resource {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.spans[key]
}

func (g *gateway) metricsOf(key string) sample {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.metrics[key]
}
