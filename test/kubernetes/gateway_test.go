// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"net"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // the default of the Collector

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

// Two services need two types: both have a method Export.
type (
	tracesOf struct {
		ptraceotlp.UnimplementedGRPCServer
		*gateway
	}
	metricsOf struct {
		pmetricotlp.UnimplementedGRPCServer
		*gateway
	}
)

func newGateway(t *testing.T) (g *gateway, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g = &gateway{spans: map[string][]resource{}, metrics: map[string]sample{}}
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, &tracesOf{gateway: g})
	pmetricotlp.RegisterGRPCServer(server, &metricsOf{gateway: g})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return g, listener.Addr().String()
}

func (g *tracesOf) Export(_ context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for r := range otlpsink.Spans(request.Traces()) {
		attributes := resource(r.Attributes().AsRaw())
		g.spans[key(attributes)] = append(g.spans[key(attributes)], attributes)
	}
	return ptraceotlp.NewExportResponse(), nil
}

func (g *metricsOf) Export(_ context.Context, request pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for r, m := range otlpsink.Metrics(request.Metrics()) {
		if m.Name() != "socket.getsockopt.calls" {
			continue
		}
		s := sample{resource: r.Attributes().AsRaw()}
		for _, p := range m.Sum().DataPoints().All() {
			s.calls += p.IntValue()
		}
		g.metrics[key(s.resource)] = s
	}
	return pmetricotlp.NewExportResponse(), nil
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
