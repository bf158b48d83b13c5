// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// server takes what the Collector exports.
type server struct {
	address string
	http    *http.Server

	mu     sync.Mutex
	traces []ptrace.Traces
}

func serve() (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &server{address: "http://" + listener.Addr().String()}
	s.http = &http.Server{Handler: s}
	go func() {
		if err := s.http.Serve(listener); err != http.ErrServerClosed {
			fmt.Printf("guest: %v\n", err)
		}
	}()
	return s, nil
}

func (s *server) close() {
	if err := s.http.Close(); err != nil {
		fmt.Printf("guest: %v\n", err)
	}
}

// ServeHTTP takes one OTLP/HTTP request in JSON.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var decoder ptrace.JSONUnmarshaler
	t, err := decoder.UnmarshalTraces(body)
	if err != nil {
		fmt.Printf("guest: %v in %.200q\n", err, body)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.traces = append(s.traces, t)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, "{}")
}

// spansOf returns the spans of one process in the order in which they began.
func (s *server) spansOf(pid int) []span {
	s.mu.Lock()
	defer s.mu.Unlock()
	var spans []span
	for _, t := range s.traces {
		for _, resource := range t.ResourceSpans().All() {
			attributes := resource.Resource().Attributes()
			if id, found := attributes.Get("process.pid"); !found || id.Int() != int64(pid) {
				continue
			}
			service, _ := attributes.Get("service.name")
			for _, scope := range resource.ScopeSpans().All() {
				for _, one := range scope.Spans().All() {
					spans = append(spans, spanOf(one, service.Str()))
				}
			}
		}
	}
	slices.SortStableFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	return spans
}

// span is what the Collector says of a call.
type span struct {
	call
	start   int64
	title   string
	service string
}

func spanOf(s ptrace.Span, service string) span {
	text := func(key string) string {
		v, _ := s.Attributes().Get(key)
		return v.Str()
	}
	number := func(key string) int64 {
		v, found := s.Attributes().Get(key)
		if !found {
			return -1
		}
		return v.Int()
	}
	return span{
		call: call{
			name:   text("socket.option.name"),
			level:  int32(number("socket.option.level_code")),
			option: int32(number("socket.option.code")),
			result: number("syscall.return_value"),
			value:  text("socket.option.value"),
			entry:  text("socket.entry"),
			thread: number("thread.id"),
		},
		start:   int64(s.StartTimestamp()),
		title:   s.Name(),
		service: service,
	}
}

// values are those of the doors' socket, as spans write them.
var values = map[string]string{
	"SO_TYPE":      "SOCK_STREAM",
	"TCP_NODELAY":  "0",
	"SO_DOMAIN":    "AF_INET",
	"SO_REUSEADDR": "1",
}

// compareSpans is compare for spans: the value is text, and there is a title.
func (v *visit) compareSpans(spans []span) error {
	text := *v
	text.made = slices.Clone(v.made)
	for i, made := range text.made {
		text.made[i].value = ""
		if made.result >= 0 {
			text.made[i].value = values[made.name]
		}
	}
	var seen []call
	for _, s := range spans {
		seen = append(seen, s.call)
		title := "getsockopt " + s.name
		if strings.Trim(s.name, "0123456789") == "" {
			title = "getsockopt" // no name: titles stay few
		}
		if s.title != title || s.service != serviceOf(v.door) {
			return fmt.Errorf("span %q of %q, want %q of %q", s.title, s.service, title, serviceOf(v.door))
		}
	}
	return text.compare(seen)
}
