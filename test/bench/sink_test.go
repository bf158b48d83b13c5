// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

func TestSinkCountsBytesAndSpans(t *testing.T) {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for range 100 {
		spans.AppendEmpty().SetName("getsockopt SO_ERROR")
	}
	plain, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	var compressed bytes.Buffer
	z := gzip.NewWriter(&compressed)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s := &sinkServer{}
	for range 2 {
		r := httptest.NewRequest(http.MethodPost, "/v1/traces", bytes.NewReader(compressed.Bytes()))
		r.Header.Set("Content-Type", "application/x-protobuf")
		r.Header.Set("Content-Encoding", "gzip")
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	}
	want := traffic{Requests: 2, Items: 200, Plain: 2 * uint64(len(plain)), Compressed: 2 * uint64(compressed.Len())}
	if s.Traces != want || s.Metrics != (traffic{}) || s.FirstSpan.IsZero() {
		t.Errorf("traces %+v and metrics %+v, first at %v; want %+v and none", s.Traces, s.Metrics, s.FirstSpan, want)
	}
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/traces", bytes.NewReader(plain))); w.Code == http.StatusOK || s.Error == "" {
		t.Errorf("a request without compression: status %d, error %q", w.Code, s.Error)
	}
}
