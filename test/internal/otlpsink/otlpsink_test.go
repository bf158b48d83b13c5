// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func TestHandlerDecodesBatches(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("span")
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "shop")
	rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetName("metric")

	encoded := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	spans := encoded((&ptrace.ProtoMarshaler{}).MarshalTraces(td))
	spansJSON := encoded((&ptrace.JSONMarshaler{}).MarshalTraces(td))
	metrics := encoded((&pmetric.ProtoMarshaler{}).MarshalMetrics(md))
	metricsJSON := encoded((&pmetric.JSONMarshaler{}).MarshalMetrics(md))
	const protobuf = "application/x-protobuf"

	for name, test := range map[string]struct {
		path, mediaType string
		body            []byte
		compressed      bool
		want            string // name of the one span or metric, "" for a refusal
	}{
		"spans":                 {"/v1/traces", protobuf, spans, false, "span"},
		"spans, compressed":     {"/v1/traces", protobuf, spans, true, "span"},
		"spans in JSON":         {"/v1/traces", jsonType, spansJSON, false, "span"},
		"metrics":               {"/v1/metrics", protobuf, metrics, false, "metric"},
		"metrics below a name":  {"/some/v1/metrics", protobuf, metrics, false, "metric"},
		"metrics in JSON":       {"/v1/metrics", jsonType, metricsJSON, false, "metric"},
		"neither":               {"/v1/logs", protobuf, spans, false, ""},
		"other type":            {"/v1/traces", "text/plain", spans, false, ""},
		"JSON, called protobuf": {"/v1/traces", protobuf, spansJSON, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			var reported error
			server := httptest.NewServer(Handler(func(err error) { reported = err }, func(b Batch) error {
				if b.Traces != nil {
					for resource, s := range Spans(*b.Traces) {
						got += s.Name()
						checkService(t, Text(resource.Attributes(), "service.name"))
					}
				}
				if b.Metrics != nil {
					for resource, m := range Metrics(*b.Metrics) {
						got += m.Name()
						checkService(t, Text(resource.Attributes(), "service.name"))
					}
				}
				return nil
			}))
			defer server.Close()
			request, err := http.NewRequest(http.MethodPost, server.URL+test.path, body(t, test.body, test.compressed))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", test.mediaType)
			if test.compressed {
				request.Header.Set("Content-Encoding", "gzip")
			}
			answer, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			want := http.StatusOK
			if test.want == "" {
				want = http.StatusBadRequest
			}
			if got != test.want || answer.StatusCode != want || (reported != nil) != (test.want == "") {
				t.Errorf("%q, %s, reported %v; want %q, %d", got, answer.Status, reported, test.want, want)
			}
		})
	}
}

func checkService(t *testing.T, service string) {
	t.Helper()
	if service != "shop" {
		t.Errorf("service %q, want shop", service)
	}
}

func body(t *testing.T, b []byte, compressed bool) *bytes.Buffer {
	t.Helper()
	if !compressed {
		return bytes.NewBuffer(b)
	}
	var buffer bytes.Buffer
	w := gzip.NewWriter(&buffer)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buffer
}
