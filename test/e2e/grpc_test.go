// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"sync"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/internal/otlpsink"
)

// grpcServer takes metrics over OTLP/gRPC.
type grpcServer struct {
	mu    sync.Mutex
	calls map[string]int64 // by service, option and error, as last sent
}

func (s *grpcServer) take(b otlpsink.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for resource, m := range otlpsink.Metrics(*b.Metrics) {
		if m.Name() != "socket.getsockopt.calls" {
			continue
		}
		for _, p := range m.Sum().DataPoints().All() {
			s.calls[fmt.Sprint(resource.Attributes().AsRaw(), p.Attributes().AsRaw())] = p.IntValue()
		}
	}
}

func (s *grpcServer) sum() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, calls := range s.calls {
		n += calls
	}
	return n
}

// As many series as a server would refuse in one message arrive: of processes that make every
// option with a name fail.
func TestManySeriesOverGRPC(t *testing.T) {
	const services = 17
	series := services * int64(caller.MaxOptions)
	server := &grpcServer{calls: map[string]int64{}}
	address := otlpsink.ServeGRPC(t, server.take)
	c := collector(t, harness.WriteFile(t, "collector.yaml", fmt.Sprintf(`
receivers:
  getsockopt: {%s, cardinality_limit: 40000}
exporters:
  otlp_grpc:
    endpoint: %s
    tls: {insecure: true}
    compression: none
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    metrics:
      receivers: [getsockopt]
      exporters: [otlp_grpc]
`, onlyKnown(t), address)))
	for n := range services {
		runKnown(t, "many", caller.Command(t, fmt.Sprintf("options:%d", caller.MaxOptions), fmt.Sprintf("OTEL_SERVICE_NAME=many-%d", n)))
	}
	harness.Eventually(t, arrivalLimit, "every call arrives", func() bool { return server.sum() == series })
	c.stop(t)
	if n := server.sum(); n != series || int64(len(server.calls)) != series {
		t.Errorf("%d calls of %d series arrived, want %d of as many", n, len(server.calls), series)
	}
}
