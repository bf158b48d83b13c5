// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/test/internal/otlpsink"
)

// server takes what the Collector exports.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	traces []ptrace.Traces
}

func serve() *server {
	s := &server{}
	s.Server = httptest.NewServer(otlpsink.Handler(func(err error) { fmt.Printf("guest: %v\n", err) }, s.take))
	return s
}

func (s *server) take(b otlpsink.Batch) error {
	if b.Traces == nil {
		return errors.New("the Collector is to send traces only")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.traces = append(s.traces, *b.Traces)
	return nil
}

// spansOf returns the spans of one process in the order in which they began.
func (s *server) spansOf(pid int) []span {
	s.mu.Lock()
	defer s.mu.Unlock()
	var spans []span
	for _, t := range s.traces {
		for resource, one := range otlpsink.Spans(t) {
			if id, found := resource.Attributes().Get("process.pid"); found && id.Int() == int64(pid) {
				spans = append(spans, spanOf(one, otlpsink.Text(resource.Attributes(), "service.name")))
			}
		}
	}
	slices.SortStableFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	return spans
}

// span is what the Collector sends of a call.
type span struct {
	call
	start   int64
	title   string
	service string
}

func spanOf(s ptrace.Span, service string) span {
	text := func(key string) string { return otlpsink.Text(s.Attributes(), key) }
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

// values are those of the entry points' socket, as spans write them.
var values = map[string]string{
	"SO_TYPE":      "SOCK_STREAM",
	"TCP_NODELAY":  "0",
	"SO_DOMAIN":    "AF_INET",
	"SO_REUSEADDR": "1",
}

// nameless is the name that spans give options without one.
const nameless = "_OTHER"

// compareSpans is compare for spans: the value is text, options without a name have the
// same, and there is a title.
func (v *visit) compareSpans(spans []span) error {
	text := *v
	text.made = slices.Clone(v.made)
	for i, made := range text.made {
		text.made[i].value = ""
		if made.result >= 0 {
			text.made[i].value = values[made.name]
		}
		if strings.Trim(made.name, "0123456789") == "" {
			text.made[i].name = nameless
		}
	}
	var seen []call
	for _, s := range spans {
		seen = append(seen, s.call)
		title := "getsockopt " + s.name
		if s.name == nameless {
			title = "getsockopt"
		}
		if s.title != title || s.service != serviceOf(v.entryPoint) {
			return fmt.Errorf("span %q of %q, want %q of %q", s.title, s.service, title, serviceOf(v.entryPoint))
		}
	}
	return text.compare(seen)
}
