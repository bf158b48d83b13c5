// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// sink is an OTLP/HTTP server for JSON. It reads the protocol with nothing but
// encoding/json, so that it shares no code with what it checks. For that
// reason it is not made of test/internal/otlpsink, which uses the Collector's pdata.
type sink struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []span         // of the processes that the test started
	others  int            // spans of all others
	metrics map[any]byName // by service; nil for processes that found no group
}

// byName is the last points of each metric.
type byName map[string]*metric

type span struct {
	TraceID      string     `json:"traceId"`
	SpanID       string     `json:"spanId"`
	ParentSpanID string     `json:"parentSpanId"`
	TraceState   string     `json:"traceState"`
	Flags        uint32     `json:"flags"`
	Name         string     `json:"name"`
	Kind         int        `json:"kind"`
	Start        uint64     `json:"startTimeUnixNano,string"`
	End          uint64     `json:"endTimeUnixNano,string"`
	Attributes   attributes `json:"attributes"`
	Status       struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"status"`
	resource attributes
}

// Numbers of OTLP's enumerations.
const (
	kindInternal          = 1
	statusUnset           = 0
	statusError           = 2
	temporalityCumulative = 2
)

type resourceSpans struct {
	Resource   resource `json:"resource"`
	ScopeSpans []struct {
		Spans []span `json:"spans"`
	} `json:"scopeSpans"`
}

type resourceMetrics struct {
	Resource     resource `json:"resource"`
	ScopeMetrics []struct {
		Metrics []metric `json:"metrics"`
	} `json:"scopeMetrics"`
}

type resource struct {
	Attributes attributes `json:"attributes"`
}

type metric struct {
	Name      string `json:"name"`
	Unit      string `json:"unit"`
	Sum       *data  `json:"sum"`
	Histogram *data  `json:"exponentialHistogram"`
}

type data struct {
	Points      []point `json:"dataPoints"`
	Temporality int     `json:"aggregationTemporality"`
	Monotonic   bool    `json:"isMonotonic"`
}

// point is one of a sum or of an exponential histogram.
type point struct {
	Attributes attributes `json:"attributes"`
	Start      uint64     `json:"startTimeUnixNano,string"`
	Time       uint64     `json:"timeUnixNano,string"`
	AsInt      int64      `json:"asInt,string"`
	Count      uint64     `json:"count,string"`
	Sum        float64    `json:"sum"`
	Scale      int        `json:"scale"`
	ZeroCount  uint64     `json:"zeroCount,string"`
	Positive   struct {
		Offset  int      `json:"offset"`
		Buckets []number `json:"bucketCounts"`
	} `json:"positive"`
}

// number is 64 bits wide, which JSON has in quotes.
type number uint64

func (n *number) UnmarshalJSON(b []byte) error {
	text, err := strconv.Unquote(string(b))
	if err != nil {
		return err
	}
	parsed, err := strconv.ParseUint(text, 10, 64)
	*n = number(parsed)
	return err
}

// attributes hold a string, an int64 or a bool each.
type attributes map[string]any

func (a *attributes) UnmarshalJSON(b []byte) error {
	var list []struct {
		Key   string `json:"key"`
		Value struct {
			String *string `json:"stringValue"`
			Int    *int64  `json:"intValue,string"`
			Bool   *bool   `json:"boolValue"`
		} `json:"value"`
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*a = make(attributes, len(list))
	for _, entry := range list {
		if _, found := (*a)[entry.Key]; found {
			return fmt.Errorf("attribute %q is there twice", entry.Key)
		}
		switch v := entry.Value; {
		case v.String != nil:
			(*a)[entry.Key] = *v.String
		case v.Int != nil:
			(*a)[entry.Key] = *v.Int
		case v.Bool != nil:
			(*a)[entry.Key] = *v.Bool
		default:
			return fmt.Errorf("attribute %q has neither a string nor an integer nor a boolean", entry.Key)
		}
	}
	return nil
}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{metrics: map[any]byName{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = s.take(r.URL.Path, body)
		}
		if err != nil {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}") // the Collector sees a broken answer
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *sink) take(path string, body []byte) error {
	if !utf8.Valid(body) {
		return fmt.Errorf("the body is not UTF-8: %q", body)
	}
	var export struct {
		Spans   []resourceSpans   `json:"resourceSpans"`
		Metrics []resourceMetrics `json:"resourceMetrics"`
	}
	if err := json.Unmarshal(body, &export); err != nil {
		return err
	}
	if (path == "/v1/traces") != (export.Spans != nil) || (path == "/v1/metrics") != (export.Metrics != nil) {
		return fmt.Errorf("not what belongs there: %s", body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range export.Spans {
		s.takeSpans(rs)
	}
	for _, rm := range export.Metrics {
		s.takeMetrics(rm)
	}
	return nil
}

func (s *sink) takeSpans(rs resourceSpans) {
	own := rs.Resource.Attributes["process.parent_pid"] == int64(os.Getpid())
	for _, ss := range rs.ScopeSpans {
		if !own {
			s.others += len(ss.Spans)
			continue
		}
		for _, sp := range ss.Spans {
			sp.resource = rs.Resource.Attributes
			s.spans = append(s.spans, sp)
		}
	}
}

func (s *sink) takeMetrics(rm resourceMetrics) {
	service := rm.Resource.Attributes["service.name"]
	if s.metrics[service] == nil {
		s.metrics[service] = byName{}
	}
	for _, sm := range rm.ScopeMetrics {
		for i := range sm.Metrics {
			sm.Metrics[i].dropFirst()
			s.metrics[service][sm.Metrics[i].Name] = &sm.Metrics[i]
		}
	}
}

// dropFirst drops the points of value 0 that precede new ones.
func (m *metric) dropFirst() {
	for _, d := range []*data{m.Sum, m.Histogram} {
		if d != nil {
			d.Points = slices.DeleteFunc(d.Points, func(p point) bool { return p.Start == p.Time && p.AsInt == 0 && p.Count == 0 })
		}
	}
}

// spansOf returns the spans of a process, in the order of their time: the
// Collector may send several batches at once.
func (s *sink) spansOf(pid int) []span {
	s.mu.Lock()
	defer s.mu.Unlock()
	var own []span
	for _, sp := range s.spans {
		if sp.resource["process.pid"] == int64(pid) {
			own = append(own, sp)
		}
	}
	slices.SortStableFunc(own, func(a, b span) int { return cmp.Compare(a.Start, b.Start) })
	return own
}

// metricOf returns the last points of a service's metric; nil if there are none.
func (s *sink) metricOf(service, name string) *metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.metrics[service][name]
}

// calls returns how many calls of a service were last counted.
func (s *sink) calls(service string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.metrics[service].calls()
}

// allCalls returns how many calls were last counted, of all services.
func (s *sink) allCalls() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, metrics := range s.metrics {
		n += metrics.calls()
	}
	return n
}

func (m byName) calls() (n int64) {
	if calls := m["socket.getsockopt.calls"]; calls != nil && calls.Sum != nil {
		for _, p := range calls.Sum.Points {
			n += p.AsInt
		}
	}
	return n
}

// summary lists what came of a process and its service.
func (s *sink) summary(service string, pid int) func() string {
	return func() string {
		spans := s.spansOf(pid)
		s.mu.Lock()
		others := s.others
		s.mu.Unlock()
		thresholds := map[string]int{}
		for _, sp := range spans {
			thresholds[sp.TraceState]++
		}
		return fmt.Sprintf("%d calls of service %q counted; %d spans of process %d, by tracestate %v; %d calls of all processes counted, %d spans of others",
			s.calls(service), service, len(spans), pid, thresholds, s.allCalls(), others)
	}
}

// Settings of the receiver.
const (
	// All at their defaults, but that a test need not wait.
	defaults = "collection_interval: 1s"
	// Every span, however much the host does besides.
	unsampled = "collection_interval: 1s, spans: {max_per_second: 0}"
)

// onlyKnown selects the known program, so that what else the host does takes
// no space in the ring.
func onlyKnown(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s, select: {executables: [%s]}", defaults, filepath.Base(exe))
}

// noMetrics keeps a Collector from serving metrics about itself, which all
// would do at the same port.
const noMetrics = "level: none"

// config is a Collector's configuration with the receiver's settings, and with
// where its metrics about itself can be had.
func (s *sink) config(t *testing.T, receiver, own string) string {
	t.Helper()
	return harness.WriteFile(t, "collector.yaml", fmt.Sprintf(`
receivers:
  getsockopt: {%s}
exporters:
  otlp_http:
    endpoint: %s
    encoding: json
    compression: none
service:
  telemetry:
    metrics:
      %s
  pipelines:
    traces:
      receivers: [getsockopt]
      exporters: [otlp_http]
    metrics:
      receivers: [getsockopt]
      exporters: [otlp_http]
`, receiver, s.URL, own))
}
