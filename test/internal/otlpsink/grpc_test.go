// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func TestServerTakesBatches(t *testing.T) {
	taken := make(chan Batch, 2)
	connection, err := grpc.NewClient(ServeGRPC(t, func(b Batch) { taken <- b }), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	td, md := ptrace.NewTraces(), pmetric.NewMetrics()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetName("metric")
	if _, err := ptraceotlp.NewGRPCClient(connection).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(td)); err != nil {
		t.Fatal(err)
	}
	if b := <-taken; b.Traces == nil || b.Metrics != nil || b.Traces.SpanCount() != 1 {
		t.Errorf("the first batch is %+v, want a span", b)
	}
	if _, err := pmetricotlp.NewGRPCClient(connection).Export(t.Context(), pmetricotlp.NewExportRequestFromMetrics(md)); err != nil {
		t.Fatal(err)
	}
	if b := <-taken; b.Metrics == nil || b.Traces != nil || b.Metrics.MetricCount() != 1 {
		t.Errorf("the second batch is %+v, want a metric", b)
	}
}
