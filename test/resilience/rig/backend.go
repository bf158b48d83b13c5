// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Backend is an OTLP/HTTP server that does to its client what a test wants. It
// takes a receiver's spans and metrics under a name, and the Collector's
// metrics about itself, which it never refuses.
type Backend struct {
	*httptest.Server
	mu    sync.Mutex
	fault Fault
	data  map[string]*Received
	own   map[string]Books  // by receiver
	ended map[string]uint64 // spans emitted by its starts before the last
}

// Fault answers a request in place of the backend.
type Fault func(w http.ResponseWriter, r *http.Request)

// Refuse answers with a status: 503 for now, 400 for good.
func Refuse(status int) Fault {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// Block holds a request until the channel is closed or its client gives up,
// and refuses it then.
func Block(until <-chan struct{}) Fault {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-until:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// Received is what a backend has accepted from one receiver, and refused.
type Received struct {
	Spans        uint64
	RefusedSpans uint64 // each time they were offered
	Offers       uint64 // requests with data, accepted or not
	Each         []ptrace.Span
	Resources    []pcommon.Resource // of each span

	calls map[pcommon.Timestamp]map[string]uint64 // by start and service: last said
	last  pcommon.Timestamp                       // the newest start
	err   error
}

// NewBackend starts one.
func NewBackend() *Backend {
	b := &Backend{data: map[string]*Received{}, own: map[string]Books{}, ended: map[string]uint64{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{receiver}/v1/traces", b.take((*Received).takeTraces))
	mux.HandleFunc("POST /{receiver}/v1/metrics", b.take((*Received).takeMetrics))
	mux.HandleFunc("POST /own", b.takeOwn)
	b.Server = httptest.NewServer(mux)
	return b
}

// Set makes the backend answer with a fault; nil ends that.
func (b *Backend) Set(f Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = f
}

func (b *Backend) take(keep func(*Received, []byte, bool) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client is gone
		}
		name := r.PathValue("receiver")
		b.mu.Lock()
		fault, of := b.fault, b.data[name]
		if of == nil {
			of = &Received{calls: map[pcommon.Timestamp]map[string]uint64{}}
			b.data[name] = of
		}
		of.Offers++
		if err := keep(of, body, fault == nil); err != nil && of.err == nil {
			of.err = fmt.Errorf("%s: %w", r.URL.Path, err)
		}
		b.mu.Unlock()
		if fault != nil {
			fault(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}
}

func (d *Received) takeTraces(body []byte, accept bool) error {
	// TracesData and ExportTraceServiceRequest are the same on the wire.
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
	if err != nil {
		return err
	}
	if !accept {
		d.RefusedSpans += uint64(td.SpanCount())
		return nil
	}
	d.Spans += uint64(td.SpanCount())
	if d.Spans > 10_000 { // enough to look at
		return nil
	}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				d.Each = append(d.Each, s)
				d.Resources = append(d.Resources, rs.Resource())
			}
		}
	}
	return nil
}

func (d *Received) takeMetrics(body []byte, accept bool) error {
	md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(body)
	if err != nil || !accept {
		return err
	}
	said := map[pcommon.Timestamp]map[string]uint64{}
	for _, rm := range md.ResourceMetrics().All() {
		service := ""
		if v, found := rm.Resource().Attributes().Get("service.name"); found {
			service = v.Str()
		}
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Name() != "socket.getsockopt.calls" {
					continue
				}
				for _, p := range m.Sum().DataPoints().All() {
					if p.Timestamp() < p.StartTimestamp() {
						err = fmt.Errorf("a point that ends at %v, before it starts at %v", p.Timestamp(), p.StartTimestamp())
					}
					if said[p.StartTimestamp()] == nil {
						said[p.StartTimestamp()] = map[string]uint64{}
					}
					said[p.StartTimestamp()][service] += uint64(p.IntValue())
				}
			}
		}
	}
	for start, services := range said {
		for service, n := range services {
			if before := d.calls[start][service]; n < before {
				err = fmt.Errorf("calls of %q went from %d back to %d", service, before, n)
			}
		}
		d.calls[start] = services // every harvest says all
		d.last = max(d.last, start)
	}
	return err
}

// Data is what a receiver has sent so far, and what was wrong with it.
func (b *Backend) Data(receiver string) (Received, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.data[receiver]
	if d == nil {
		return Received{}, nil
	}
	copied := *d
	copied.calls = maps.Clone(d.calls)
	return copied, d.err
}

// Calls is the sum of socket.getsockopt.calls, as last said by the receiver's
// newest start.
func (d Received) Calls() (n uint64) {
	for _, calls := range d.calls[d.last] {
		n += calls
	}
	return n
}

// CallsOf is the same for one service.
func (d Received) CallsOf(service string) uint64 { return d.calls[d.last][service] }

// AllCalls is the sum over all starts of a receiver.
func (d Received) AllCalls() (n uint64) {
	for _, services := range d.calls {
		for _, calls := range services {
			n += calls
		}
	}
	return n
}

// Starts is how often the receiver began to count.
func (d Received) Starts() int { return len(d.calls) }
