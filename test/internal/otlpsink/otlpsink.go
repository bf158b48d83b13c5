// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Batch is what one request holds: one of the two.
type Batch struct {
	Traces  *ptrace.Traces
	Metrics *pmetric.Metrics
}

// ErrBody is returned by Read when a body could not be read to its end, as when the
// client gives up.
var ErrBody = errors.New("read the body")

const jsonType = "application/json"

// Read decodes a request, in protobuf or JSON, compressed or not. Its path ends in
// the signal's name.
func Read(r *http.Request) (b Batch, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", r.URL.Path, err)
		}
	}()
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(r.Body); err != nil {
			return b, err
		}
	}
	encoded, err := io.ReadAll(body)
	if err != nil {
		return b, fmt.Errorf("%w: %w", ErrBody, err)
	}
	traces, metrics := ptrace.Unmarshaler(&ptrace.ProtoUnmarshaler{}), pmetric.Unmarshaler(&pmetric.ProtoUnmarshaler{})
	switch mediaType := r.Header.Get("Content-Type"); mediaType {
	case "application/x-protobuf":
	case jsonType:
		traces, metrics = &ptrace.JSONUnmarshaler{}, &pmetric.JSONUnmarshaler{}
	default:
		return b, fmt.Errorf("a body of type %q is neither protobuf nor JSON", mediaType)
	}
	// What is exported is encoded as what is stored: TracesData and
	// ExportTraceServiceRequest have the same fields.
	switch {
	case strings.HasSuffix(r.URL.Path, "/v1/traces"):
		td, err := traces.UnmarshalTraces(encoded)
		return Batch{Traces: &td}, err
	case strings.HasSuffix(r.URL.Path, "/v1/metrics"):
		md, err := metrics.UnmarshalMetrics(encoded)
		return Batch{Metrics: &md}, err
	}
	return b, fmt.Errorf("neither traces nor metrics")
}

// Accept answers a request whose data was taken.
func Accept(w http.ResponseWriter, r *http.Request) {
	mediaType := r.Header.Get("Content-Type")
	w.Header().Set("Content-Type", mediaType)
	if mediaType == jsonType {
		_, _ = io.WriteString(w, "{}") // the Collector sees a broken answer
	}
}

// Handler serves requests: take gets what each holds. Errors are reported, and
// answered as bad requests, which the Collector does not repeat.
func Handler(report func(error), take func(Batch) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := Read(r)
		if err == nil {
			err = take(b)
		}
		if err != nil {
			report(err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		Accept(w, r)
	})
}

// Spans are all spans, each with its resource.
func Spans(td ptrace.Traces) iter.Seq2[pcommon.Resource, ptrace.Span] {
	return func(yield func(pcommon.Resource, ptrace.Span) bool) {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					if !yield(rs.Resource(), s) {
						return
					}
				}
			}
		}
	}
}

// Metrics are all metrics, each with its resource.
func Metrics(md pmetric.Metrics) iter.Seq2[pcommon.Resource, pmetric.Metric] {
	return func(yield func(pcommon.Resource, pmetric.Metric) bool) {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if !yield(rm.Resource(), m) {
						return
					}
				}
			}
		}
	}
}

// Text is an attribute as text, "" when there is none of that name.
func Text(attributes pcommon.Map, key string) string {
	v, found := attributes.Get(key)
	if !found {
		return ""
	}
	return v.AsString()
}
