// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	otelpyroscope "github.com/grafana/otel-profiling-go"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// payment is the address of a service that has stopped: nobody listens at the port of
// discard.
const payment = "http://127.0.0.1:9"

func main() {
	if len(os.Args) != 2 {
		log.Fatalf("usage: %s ADDRESS", os.Args[0])
	}
	exporter, err := otlptracegrpc.New(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter), sdktrace.WithResource(resource.Default()))
	// This line publishes the active span.
	published := otelpyroscope.NewTracerProvider(provider,
		otelpyroscope.WithSpanIDLabelScope(otelpyroscope.ScopeAllSpans))

	inventory := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	http.Handle("GET /checkout", shop{published.Tracer("checkout"), inventory.URL, payment})
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}

type shop struct {
	tracer             trace.Tracer
	inventory, payment string
}

func (s shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, span := s.tracer.Start(r.Context(), "GET /checkout", trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	for _, step := range []struct{ name, url string }{
		{"reserve stock", s.inventory},
		{"charge card", s.payment},
	} {
		if err := s.ask(ctx, step.name, step.url); err != nil {
			span.SetStatus(codes.Error, step.name)
			w.WriteHeader(http.StatusBadGateway)
			break
		}
	}
	fmt.Fprintln(w, span.SpanContext().TraceID())
}

func (s shop) ask(ctx context.Context, name, url string) error {
	ctx, span := s.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		return err
	}
	return response.Body.Close()
}
