// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/test/internal/otlpsink"
)

// span is what matters here of one.
type span struct {
	traceID    pcommon.TraceID
	spanID     pcommon.SpanID
	parentID   pcommon.SpanID
	service    string
	failed     bool // the call returned an error
	tracestate string
	threshold  uint64 // of the tracestate
	random     uint64 // of the tracestate, if randomized
	randomized bool
	start, end pcommon.Timestamp
}

// randomnessEnd is one more than the largest randomness.
const randomnessEnd = 1 << 56

// randomness is that of the tracestate, which a child has, or of the trace id.
func (s *span) randomness() uint64 {
	if s.randomized {
		return s.random
	}
	return binary.BigEndian.Uint64(s.traceID[8:]) % randomnessEnd
}

// parseTracestate reads the th of a tracestate, and its rv if there is one. The Collector's
// sampler writes rv first.
func (s *span) parseTracestate() error {
	th, rv, found := strings.Cut(s.tracestate, ";rv:")
	if first, rest, swapped := strings.Cut(s.tracestate, ";th:"); swapped {
		th, rv, found = "ot=th:"+rest, strings.TrimPrefix(first, "ot=rv:"), true
	}
	var err error
	if s.threshold, err = parseThreshold(th); err != nil || !found {
		return err
	}
	if s.randomized = true; len(rv) != 14 || s.parentID.IsEmpty() {
		return fmt.Errorf("the tracestate of a span with the parent %q is %q, want rv and 14 digits for a child only", s.parentID, s.tracestate)
	}
	s.random, err = strconv.ParseUint(rv, 16, 64)
	return err
}

// parseThreshold reads the th of a tracestate that holds nothing else.
func parseThreshold(tracestate string) (uint64, error) {
	digits, found := strings.CutPrefix(tracestate, "ot=th:")
	if !found || digits == "" || len(digits) > 14 || len(digits) > 1 && strings.HasSuffix(digits, "0") {
		return 0, fmt.Errorf("the tracestate is %q, want ot=th: and 1 to 14 digits", tracestate)
	}
	return strconv.ParseUint(digits+strings.Repeat("0", 14-len(digits)), 16, 64)
}

// threshold is what one call in so many is kept by.
func threshold(oneIn float64) uint64 { return uint64((1 - 1/oneIn) * randomnessEnd) }

// estimate is how many calls spans stand for, and its standard deviation.
type estimate struct {
	spans            int
	calls, deviation float64
}

func estimateOf(spans []span) (e estimate) {
	var variance float64
	for i := range spans {
		p := float64(randomnessEnd-spans[i].threshold) / randomnessEnd
		e.calls += 1 / p
		variance += (1 - p) / (p * p)
	}
	e.spans, e.deviation = len(spans), math.Sqrt(variance)
	return e
}

// ofBursts is an estimate of calls that came in bursts. The kernel limits a burst: it lowers the
// share with the fourth power of the calls that it has kept, until user space adjusts it. So the
// last of k spans stands for k^4 times as many calls as the first, all for the sum of i^4, some
// k^5/5, and the deviation is the root of the sum of i^8, some k^4.5/3: 5/3/sqrt(k) of the calls.
// That of the spans themselves is too small when many calls came after the last span, for which
// none stands.
func (e estimate) ofBursts(exact int) estimate {
	e.deviation = max(e.deviation, 5./3./math.Sqrt(float64(max(e.spans, 1)))*float64(exact))
	return e
}

// plus is an estimate of both.
func (e estimate) plus(o estimate) estimate {
	return estimate{e.spans + o.spans, e.calls + o.calls, math.Hypot(e.deviation, o.deviation)}
}

// check holds an estimate to the exact number. Chance alone takes one run in
// 1.7 million beyond five standard deviations, and one in 16,000 beyond four.
func (e estimate) check(t *testing.T, what string, exact int) {
	t.Helper()
	off := math.Abs(e.calls - float64(exact))
	t.Logf("%s: %d spans stand for %.0f calls of %d, %.2f standard deviations off", what, e.spans, e.calls, exact, off/max(e.deviation, 1))
	if off > 5*e.deviation+1e-6*float64(exact) {
		t.Errorf("%s: %d spans stand for %.0f ± %.0f calls, %d were made", what, e.spans, e.calls, e.deviation, exact)
	}
}

// sink is the end of a pipeline.
type sink struct {
	mu      sync.Mutex
	refuses bool
	refused int
	spans   []span
	points  map[pointID]point // as last sent
	last    pcommon.Timestamp // of the last collection's points
	errors  []error

	exemplars map[string]int   // by service, that Prometheus takes
	newest    map[string]int64 // exemplar of each histogram, in milliseconds
}

func newSink(t testing.TB) *sink {
	s := &sink{
		points:    map[pointID]point{},
		exemplars: map[string]int{}, newest: map[string]int64{},
	}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := errors.Join(s.errors...); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (*sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s *sink) refuse(whether bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses = whether
}

var errRefused = errors.New("the sink refuses")

// take runs f unless the sink refuses.
func (s *sink) take(f func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses {
		s.refused++
		return errRefused
	}
	f()
	return nil
}

func (s *sink) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	return s.take(func() {
		for resource, in := range otlpsink.Spans(td) {
			s.add(otlpsink.Text(resource.Attributes(), "service.name"), in)
		}
	})
}

func (s *sink) add(service string, in ptrace.Span) {
	out := span{
		traceID: in.TraceID(), spanID: in.SpanID(), parentID: in.ParentSpanID(), service: service,
		tracestate: in.TraceState().AsRaw(), start: in.StartTimestamp(), end: in.EndTimestamp(),
	}
	if returned, found := in.Attributes().Get("syscall.return_value"); found {
		out.failed = returned.Int() < 0
	}
	if err := out.parseTracestate(); err != nil {
		s.errors = append(s.errors, err)
	} else if out.randomness() < out.threshold {
		s.errors = append(s.errors, fmt.Errorf("trace %s was kept with %s", out.traceID, out.tracestate))
	} else if !out.parentID.IsEmpty() && out.threshold > 0 && !out.randomized {
		s.errors = append(s.errors, fmt.Errorf("a child was kept with %s, without rv", out.tracestate))
	}
	s.spans = append(s.spans, out)
}

// pointID is a point from its start to its end.
type pointID struct {
	service, metric, identity string // the last one contains all of its attributes
	start                     pcommon.Timestamp
}

// ConsumeMetrics also checks that no point falls.
func (s *sink) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	return s.take(func() {
		for _, rm := range md.ResourceMetrics().All() {
			resource := fmt.Sprint(rm.Resource().Attributes().AsRaw())
			kept := pmetric.NewResourceMetrics()
			rm.CopyTo(kept)
			for _, metric := range []string{callsMetric, durationMetric, errorsMetric} {
				for _, p := range points(kept, metric) {
					id := pointID{otlpsink.Text(rm.Resource().Attributes(), "service.name"), metric, resource + fmt.Sprint(p.attributes.AsRaw()), p.start}
					if was := s.points[id].count; p.count < was {
						s.errors = append(s.errors, fmt.Errorf("%s of %s went from %d to %d", metric, id.identity, was, p.count))
					}
					s.points[id] = p
					s.last = max(s.last, p.at)
				}
			}
			s.countExemplars(resource, kept)
		}
	})
}

const (
	callsMetric    = "socket.getsockopt.calls"
	durationMetric = "socket.getsockopt.duration"
	errorsMetric   = "socket.errors"
)

// point is one of a sum or of an exponential histogram.
type point struct {
	attributes pcommon.Map
	start, at  pcommon.Timestamp
	count      uint64
	histogram  pmetric.ExponentialHistogramDataPoint
}

func points(rm pmetric.ResourceMetrics, name string) (all []point) {
	for _, sm := range rm.ScopeMetrics().All() {
		for _, m := range sm.Metrics().All() {
			if m.Name() != name {
				continue
			}
			if m.Type() == pmetric.MetricTypeExponentialHistogram {
				for _, p := range m.ExponentialHistogram().DataPoints().All() {
					all = append(all, point{p.Attributes(), p.StartTimestamp(), p.Timestamp(), p.Count(), p})
				}
				continue
			}
			for _, p := range m.Sum().DataPoints().All() {
				all = append(all, point{attributes: p.Attributes(), start: p.StartTimestamp(), at: p.Timestamp(), count: uint64(p.IntValue())})
			}
		}
	}
	return all
}

func anyPoint(point) bool { return true }

func failedPoint(p point) bool {
	_, failed := p.attributes.Get("error.type")
	return failed
}

func overflowPoint(p point) bool {
	overflow, found := p.attributes.Get("otel.metric.overflow")
	return found && overflow.Bool()
}

func sum(points []point, which func(point) bool) (n uint64) {
	for _, p := range points {
		if which(p) {
			n += p.count
		}
	}
	return n
}

// of returns the points of a metric with their last values: those of a service, or with an
// empty name all. Points that are no longer sent are among them, because their calls are in
// no other.
func (s *sink) of(service, metric string) (all []point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, p := range s.points {
		if id.metric == metric && (service == "" || id.service == service) {
			all = append(all, p)
		}
	}
	return all
}

// current returns those that were in the last collection.
func (s *sink) current(metric string) []point {
	return slices.DeleteFunc(s.of("", metric), func(p point) bool { return p.at < s.last })
}

// countExemplars counts those that Prometheus 2.42 takes: none in the first request with
// a native histogram, then those that are later than the last one, in milliseconds.
func (s *sink) countExemplars(resource string, rm pmetric.ResourceMetrics) {
	for _, p := range points(rm, durationMetric) {
		if p.count == 0 {
			continue // precedes the first value, in its request
		}
		series := resource + fmt.Sprint(p.attributes.AsRaw())
		newest, known := s.newest[series]
		if known {
			for _, x := range p.histogram.Exemplars().All() {
				if at := x.Timestamp().AsTime().UnixMilli(); at > newest {
					newest = at
					s.exemplars[otlpsink.Text(rm.Resource().Attributes(), "service.name")]++
				}
			}
		}
		s.newest[series] = newest
	}
}

// spansOf returns a service's spans for which a condition holds.
func (s *sink) spansOf(service string, which func(*span) bool) (own []span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.spans {
		if s.spans[i].service == service && which(&s.spans[i]) {
			own = append(own, s.spans[i])
		}
	}
	return own
}

func anySpan(*span) bool       { return true }
func failedSpan(s *span) bool  { return s.failed }
func successSpan(s *span) bool { return !s.failed }
func childSpan(s *span) bool   { return !s.parentID.IsEmpty() }

// serve makes the sink an OTLP/HTTP server.
func (s *sink) serve(t testing.TB) (url string) {
	t.Helper()
	server := httptest.NewServer(otlpsink.Handler(func(err error) { t.Error(err) }, func(b otlpsink.Batch) error {
		if b.Metrics != nil {
			return s.ConsumeMetrics(t.Context(), *b.Metrics)
		}
		return s.ConsumeTraces(t.Context(), *b.Traces)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
