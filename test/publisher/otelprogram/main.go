// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"
	"unsafe"

	otelpyroscope "github.com/grafana/otel-profiling-go"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sys/unix"
)

// firstOption is a number that no option of SOL_SOCKET has. Each call has another one.
const firstOption = 5000

var (
	mu   sync.Mutex
	next = firstOption
)

// option returns the option of the next call, and prints the span that is active in it. One
// that is not sampled is not published.
func option(ctx context.Context) int {
	mu.Lock()
	defer mu.Unlock()
	report(next, ctx)
	next++
	return next - 1
}

func report(option int, ctx context.Context) {
	active := trace.SpanContextFromContext(ctx)
	if !active.IsSampled() {
		active = trace.SpanContext{}
	}
	fmt.Printf("%d %s %s\n", option, active.TraceID(), active.SpanID())
}

func call(ctx context.Context) {
	var value, length int32 = 0, 4
	_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, 0, unix.SOL_SOCKET, uintptr(option(ctx)),
		uintptr(unsafe.Pointer(&value)), uintptr(unsafe.Pointer(&length)), 0)
}

func main() {
	ctx := context.Background()
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(resource.Default())}
	if address := os.Getenv("OTLP_ADDRESS"); address != "" {
		exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(address), otlptracegrpc.WithInsecure())
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, sdktrace.WithBatcher(exporter))
	}
	provider := sdktrace.NewTracerProvider(options...)
	tracer := otelpyroscope.NewTracerProvider(provider,
		otelpyroscope.WithSpanIDLabelScope(otelpyroscope.ScopeAllSpans)).Tracer("otelprogram")

	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		log.Fatalf("wait for a line: %v", err)
	}
	rounds := 1
	if len(os.Args) > 1 {
		var err error
		if rounds, err = strconv.Atoi(os.Args[1]); err != nil {
			log.Fatal(err)
		}
	}
	for range rounds {
		round(ctx, tracer)
	}
	if err := provider.Shutdown(ctx); err != nil {
		log.Fatalf("export the spans: %v", err)
	}
}

func round(ctx context.Context, tracer trace.Tracer) {
	call(ctx)
	request, root := tracer.Start(ctx, "request")
	call(request)
	work, child := tracer.Start(request, "work")
	call(work)
	inThreadsOfC(work)
	var goroutines sync.WaitGroup
	for range 8 {
		goroutines.Go(func() {
			runtime.Gosched()
			call(work)
		})
	}
	goroutines.Wait()
	dial(work)
	_, grandchild := tracer.Start(work, "detail")
	call(trace.ContextWithSpan(work, grandchild))
	grandchild.End()
	call(work)
	child.End()
	call(request)
	root.End()
	call(ctx)
	malformed(ctx)
	manyLabels(ctx)
	otherLabels(ctx)
}

// dial is refused, which SO_ERROR reports to the goroutine that dials.
func dial(ctx context.Context) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		log.Fatal(err)
	}
	report(unix.SO_ERROR, ctx)
	if _, err := net.DialTimeout("tcp4", address, time.Minute); !errors.Is(err, unix.ECONNREFUSED) {
		log.Fatalf("dial: %v", err)
	}
}

// malformed has labels with the names of ids and other values: no parent.
func malformed(ctx context.Context) {
	for _, ids := range [][2]string{
		{"0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef"},
		{"0123456789abcdef0123456789abcdef", "0123456789abcdeg"},
		{"0123456789abcdef0123456789abcde", "0123456789abcdef"},
		{"00000000000000000000000000000000", "0123456789abcdef"},
		{"0123456789abcdef0123456789abcdef", "0000000000000000"},
		{"", ""},
	} {
		pprof.Do(ctx, pprof.Labels("trace_id", ids[0], "span_id", ids[1]), call)
	}
	pprof.Do(ctx, pprof.Labels("trace_id", "0123456789abcdef0123456789abcdef"), call)
	pprof.Do(ctx, pprof.Labels("span_id", "0123456789abcdef"), call)
	pprof.Do(ctx, pprof.Labels("trace id", "0123456789abcdef0123456789abcdef", "span id", "18446744073709551616"), call)
}

// manyLabels has ids among labels of its own, and then more labels than are searched.
func manyLabels(ctx context.Context) {
	for _, n := range []int{14, 15} {
		labels := []string{"trace_id", "000102030405060708090a0b0c0d0e0f", "span_id", "0001020304050607"}
		for i := range n {
			labels = append(labels, fmt.Sprintf("label %d", i), "value")
		}
		active := ctx
		if n+2 <= 16 {
			active = withIDs(ctx, "000102030405060708090a0b0c0d0e0f", "0001020304050607")
		}
		pprof.Do(active, pprof.Labels(labels...), call)
	}
}

// otherLabels are those of dd-trace-go, with a span id in decimal.
func otherLabels(ctx context.Context) {
	const traceID = "6842a3f100000000b0a1c2d3e4f50617"
	for decimal, id := range map[string]string{
		"1":                    "0000000000000001",
		"1234567890123456789":  "112210f47de98115",
		"18446744073709551615": "ffffffffffffffff",
	} {
		labels := pprof.Labels("trace id", traceID, "span id", decimal, "trace endpoint", "GET /")
		pprof.Do(withIDs(ctx, traceID, id), labels, call)
	}
}

func withIDs(ctx context.Context, traceID, spanID string) context.Context {
	t, err := trace.TraceIDFromHex(traceID)
	if err != nil {
		log.Fatal(err)
	}
	s, err := trace.SpanIDFromHex(spanID)
	if err != nil {
		log.Fatal(err)
	}
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: t, SpanID: s, TraceFlags: trace.FlagsSampled}))
}
