// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"context"
	"net"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // the default of the Collector
)

// Two services need two types: both have a method Export.
type (
	tracesServer struct {
		ptraceotlp.UnimplementedGRPCServer
		take func(Batch)
	}
	metricsServer struct {
		pmetricotlp.UnimplementedGRPCServer
		take func(Batch)
	}
)

// ServeGRPC serves OTLP/gRPC until the test is over, in messages of the size that gRPC
// allows by itself. take gets what each holds, from several goroutines.
func ServeGRPC(t *testing.T, take func(Batch)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, &tracesServer{take: take})
	pmetricotlp.RegisterGRPCServer(server, &metricsServer{take: take})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func (s *tracesServer) Export(_ context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	td := request.Traces()
	s.take(Batch{Traces: &td})
	return ptraceotlp.NewExportResponse(), nil
}

func (s *metricsServer) Export(_ context.Context, request pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	md := request.Metrics()
	s.take(Batch{Metrics: &md})
	return pmetricotlp.NewExportResponse(), nil
}
