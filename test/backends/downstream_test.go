// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/internal/otlpsink"
)

// volume is what arrives at a server.
type volume struct {
	mu                     sync.Mutex
	spans, spanBytes       int
	collected, metricBytes int // series, each time they are sent
	requests               int
}

func (v *volume) serve(t *testing.T) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := otlpsink.Read(r)
		if err != nil {
			t.Error(err)
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.requests++
		if b.Traces != nil {
			v.spans += b.Traces.SpanCount()
			v.spanBytes += int(r.ContentLength)
		}
		if b.Metrics != nil {
			for _, m := range otlpsink.Metrics(*b.Metrics) {
				if m.Name() == callsMetric {
					v.collected += m.Sum().DataPoints().Len()
				}
			}
			v.metricBytes += int(r.ContentLength)
		}
		otlpsink.Accept(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// sent is the number of spans so far.
func (v *volume) sent() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.spans
}

func (v *volume) perSpan() float64   { return float64(v.spanBytes) / float64(v.spans) }
func (v *volume) perSeries() float64 { return float64(v.metricBytes) / float64(v.collected) }

// What spans and series take on the way to a backend, as docs/operations.md has it. Run
// with -v, it prints the numbers.
func TestBytesDownstream(t *testing.T) {
	for _, load := range []struct {
		what, script string
		services     int  // that make the calls, one after the other
		alone        bool // each waits until the spans of the one before were sent
		// Bounds, with which the capacity of a backend is planned: bytes of a span, and of a
		// series each time it is sent.
		span, spanCompressed, series, seriesCompressed float64
	}{
		{
			what: "unconnected TCP sockets", script: "loop:5000", services: 1,
			span: 600, spanCompressed: 100, series: 1500, seriesCompressed: 1000,
		},
		{
			what: "TCP connections", script: "connections:500", services: 1,
			span: 800, spanCompressed: 100, series: 1500, seriesCompressed: 1000,
		},
		{
			what: "processes that make a call each", script: "loop:1", services: 10, alone: true,
			span: 1700, spanCompressed: 900, series: 1500, seriesCompressed: 1000,
		},
		{
			what: "the same, sent together", script: "loop:1", services: 100,
			span: 1200, spanCompressed: 200, series: 900, seriesCompressed: 250,
		},
		{
			what: "fifty services", script: "kinds:10", services: 50,
			span: 800, spanCompressed: 100, series: 900, seriesCompressed: 250,
		},
	} {
		t.Run(load.what, func(t *testing.T) {
			plain, compressed := &volume{}, &volume{}
			c := collector(t, nil, "--config", harness.WriteFile(t, "test.yaml", fmt.Sprintf(`
receivers:
  getsockopt: {collection_interval: 1h, metric_expiration: 0s, select: %s, spans: {max_per_second: 0}}
exporters:
  otlp_http/plain: {endpoint: %s, compression: none}
  otlp_http/gzip: {endpoint: %s}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [getsockopt], exporters: [otlp_http/plain, otlp_http/gzip]}
    metrics: {receivers: [getsockopt], exporters: [otlp_http/plain, otlp_http/gzip]}
`, onlyCallers(t), plain.serve(t), compressed.serve(t))))
			for i := range load.services {
				together(t, command(t, fmt.Sprintf("service-%d", i), load.script))
				if load.alone {
					harness.Eventually(t, limit, "its span is sent", func() bool { return plain.sent() == i+1 })
				}
			}
			c.stop(t)

			t.Logf("%s: a span takes %.0f bytes, %.0f compressed (%d spans, %d requests); a series takes %.0f, %.0f compressed, each time (%d series)",
				load.what, plain.perSpan(), compressed.perSpan(), plain.spans, plain.requests, plain.perSeries(), compressed.perSeries(), plain.collected)
			if plain.spans == 0 || plain.spans != compressed.spans || plain.collected == 0 {
				t.Fatalf("%d spans, %d compressed, %d series, want the same spans and some series", plain.spans, compressed.spans, plain.collected)
			}
			for _, b := range []struct {
				what       string
				bytes, max float64
			}{
				{"span", plain.perSpan(), load.span},
				{"compressed span", compressed.perSpan(), load.spanCompressed},
				{"series", plain.perSeries(), load.series},
				{"compressed series", compressed.perSeries(), load.seriesCompressed},
			} {
				if b.bytes > b.max {
					t.Errorf("a %s takes %.0f bytes, want at most %.0f", b.what, b.bytes, b.max)
				}
			}
		})
	}
}
