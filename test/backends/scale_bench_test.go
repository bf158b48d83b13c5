// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// BenchmarkGateways is the cost of a span, and of a point of a metric, in each process on
// its way: its CPU, however busy the host is, and what it holds in memory at the end.
// docs/scale.md has the results.
func BenchmarkGateways(b *testing.B) {
	for name, start := range fleets {
		b.Run(name+"/spans", func(b *testing.B) {
			measure(b, start, decisions, func(random *rand.Rand, to *grpc.ClientConn) (int, []byte, func() error) {
				td := spansOfAnAgent(b, random)
				encoded, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
				if err != nil {
					b.Fatal(err)
				}
				return td.SpanCount(), encoded, func() error {
					_, err := ptraceotlp.NewGRPCClient(to).Export(b.Context(), ptraceotlp.NewExportRequestFromTraces(td))
					return err
				}
			})
		})
		b.Run(name+"/points", func(b *testing.B) {
			measure(b, start, "otelcol_exporter_sent_metric_points", func(random *rand.Rand, to *grpc.ClientConn) (int, []byte, func() error) {
				md := metricsOfAnAgent(b, random)
				encoded, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
				if err != nil {
					b.Fatal(err)
				}
				return md.DataPointCount(), encoded, func() error {
					_, err := pmetricotlp.NewGRPCClient(to).Export(b.Context(), pmetricotlp.NewExportRequestFromMetrics(md))
					return err
				}
			})
		})
	}
}

// measure sends requests, each of some items, until the gateways have processed them all.
func measure(b *testing.B, start func(testing.TB, ...string) fleet, processed string, next func(*rand.Rand, *grpc.ClientConn) (int, []byte, func() error)) {
	backend := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer backend.Close()
	f := start(b, "TRACES_ENDPOINT="+backend.URL, "PROMETHEUS_ENDPOINT="+backend.URL)
	processes := append([]server{f.front}, f.gateways...)
	before := make([]time.Duration, len(processes))
	for i, p := range processes {
		before[i] = cpuTime(b, p)
	}
	connection, random := connect(b, f.address), rand.New(rand.NewPCG(1, 2))
	var items, plain, compressed int
	for b.Loop() {
		n, encoded, send := next(random, connection)
		items += n
		plain += len(encoded)
		compressed += gzipped(b, encoded)
		// A process that is short of memory asks to come again.
		harness.Eventually(b, limit, "the request is accepted", func() bool { return send() == nil })
	}
	harness.Eventually(b, limit, "all is processed", func() bool { return f.own(b, processed) == float64(items) })
	var cpu, memory float64 // of the gateways
	for i, p := range processes[1:] {
		cpu += float64(cpuTime(b, p) - before[i+1])
		memory += float64(resident(b, p)) / float64(len(f.gateways))
	}
	b.ReportMetric(float64(cpuTime(b, f.front)-before[0])/1e3/float64(items), "front-µs/item")
	b.ReportMetric(cpu/1e3/float64(items), "gateway-µs/item")
	b.ReportMetric(float64(resident(b, f.front))/(1<<20), "front-MiB")
	b.ReportMetric(memory/(1<<20), "gateway-MiB")
	b.ReportMetric(float64(plain)/float64(items), "B/item")
	b.ReportMetric(float64(compressed)/float64(items), "gzip-B/item")
	if n := f.front.own(b, "otelcol_kafka_exporter_bytes"); n > 0 {
		b.ReportMetric(n/float64(items), "Kafka-B/item")
	}
	f.stop(b)
}

// spansOfAnAgent are those of calls of several programs, each a trace of its own.
func spansOfAnAgent(tb testing.TB, random *rand.Rand) ptrace.Traces {
	tb.Helper()
	golden, err := os.ReadFile(harness.File("internal/traces/testdata/batch.json"))
	if err != nil {
		tb.Fatal(err)
	}
	td := ptrace.NewTraces()
	for range 10 {
		program, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(golden)
		if err != nil {
			tb.Fatal(err)
		}
		for _, rs := range program.ResourceSpans().All() {
			rs.Resource().Attributes().PutStr("service.name", fmt.Sprint("service-", random.IntN(50)))
			rs.Resource().Attributes().PutInt("process.pid", random.Int64N(1<<22))
			for _, s := range rs.ScopeSpans().At(0).Spans().All() {
				var trace pcommon.TraceID
				binary.BigEndian.PutUint64(trace[:], random.Uint64())
				binary.BigEndian.PutUint64(trace[8:], random.Uint64())
				s.SetTraceID(trace)
				var id pcommon.SpanID
				binary.BigEndian.PutUint64(id[:], random.Uint64())
				s.SetSpanID(id)
				s.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
				s.SetEndTimestamp(s.StartTimestamp() + pcommon.Timestamp(random.IntN(2000)))
				s.Status().SetCode(ptrace.StatusCodeUnset)
				s.Attributes().PutInt("network.peer.port", random.Int64N(1<<16))
			}
		}
		program.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	}
	return td
}

// metricsOfAnAgent are those of one collection: twenty services.
func metricsOfAnAgent(tb testing.TB, random *rand.Rand) pmetric.Metrics {
	tb.Helper()
	golden, err := os.ReadFile(harness.File("internal/metrics/testdata/service.json"))
	if err != nil {
		tb.Fatal(err)
	}
	md, host := pmetric.NewMetrics(), fmt.Sprint("host-", random.IntN(1000))
	for i := range 10 {
		two, err := (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(golden)
		if err != nil {
			tb.Fatal(err)
		}
		for j, rm := range two.ResourceMetrics().All() {
			rm.Resource().Attributes().PutStr("service.name", fmt.Sprint("service-", 2*i+j))
			rm.Resource().Attributes().PutStr("host.name", host)
		}
		two.ResourceMetrics().MoveAndAppendTo(md.ResourceMetrics())
	}
	return md
}

func gzipped(tb testing.TB, encoded []byte) int {
	tb.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(encoded); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Len()
}

// stat returns the fields of /proc/PID/stat behind the name, from the third on.
func stat(tb testing.TB, s server) []string {
	tb.Helper()
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.PID()))
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
}

func number(tb testing.TB, field string) int {
	tb.Helper()
	n, err := strconv.Atoi(field)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// cpuTime is that of a process, in user and kernel space.
func cpuTime(tb testing.TB, s server) time.Duration {
	tb.Helper()
	fields := stat(tb, s)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on x86-64 and arm64
	return time.Duration(number(tb, fields[11])+number(tb, fields[12])) * tick
}

// resident is the memory of a process, in bytes.
func resident(tb testing.TB, s server) int {
	tb.Helper()
	return number(tb, stat(tb, s)[21]) * os.Getpagesize()
}
