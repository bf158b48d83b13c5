// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/internal/otlpsink"
)

// grpcServer takes metrics over OTLP/gRPC, in messages of the size that gRPC
// allows by itself.
type grpcServer struct {
	pmetricotlp.UnimplementedGRPCServer
	mu    sync.Mutex
	calls map[string]int64 // by service, option and error, as last sent
}

func serveGRPC(t *testing.T) (s *grpcServer, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = &grpcServer{calls: map[string]int64{}}
	server := grpc.NewServer()
	pmetricotlp.RegisterGRPCServer(server, s)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, listener.Addr().String()
}

func (s *grpcServer) Export(_ context.Context, request pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for resource, m := range otlpsink.Metrics(request.Metrics()) {
		if m.Name() != "socket.getsockopt.calls" {
			continue
		}
		for _, p := range m.Sum().DataPoints().All() {
			s.calls[fmt.Sprint(resource.Attributes().AsRaw(), p.Attributes().AsRaw())] = p.IntValue()
		}
	}
	return pmetricotlp.NewExportResponse(), nil
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
	server, address := serveGRPC(t)
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
