// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/test/internal/otlpsink"
)

// Backend is an OTLP/HTTP server that does to its client what a test wants. It
// takes a receiver's spans and metrics under a name, and the Collector's
// metrics about itself, which it never refuses.
type Backend struct {
	*httptest.Server
	mu    sync.Mutex
	fault Fault
	data  map[string]*Received
	own   map[string]SelfTelemetry // by receiver
	ended map[string]uint64        // spans emitted by its starts before the last
}

// Fault answers a request in place of the backend.
type Fault func(w http.ResponseWriter, r *http.Request)

// Refuse answers with a status: 503 for now, 400 permanently.
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

	starts []sent
	last   pcommon.Timestamp // of the last collection
	err    error
}

// NewBackend starts one.
func NewBackend() *Backend {
	b := &Backend{data: map[string]*Received{}, own: map[string]SelfTelemetry{}, ended: map[string]uint64{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{receiver}/v1/{signal}", b.take)
	mux.HandleFunc("POST /own/v1/metrics", b.takeOwn)
	b.Server = httptest.NewServer(mux)
	return b
}

// Set makes the backend answer with a fault; nil ends that.
func (b *Backend) Set(f Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = f
}

func (b *Backend) take(w http.ResponseWriter, r *http.Request) {
	batch, err := otlpsink.Read(r)
	if errors.Is(err, otlpsink.ErrBody) {
		return // the client is gone
	}
	name := r.PathValue("receiver")
	b.mu.Lock()
	fault, of := b.fault, b.data[name]
	if of == nil {
		of = &Received{}
		b.data[name] = of
	}
	of.Offers++
	if err == nil {
		err = of.take(batch, fault == nil)
	}
	if err != nil && of.err == nil {
		of.err = fmt.Errorf("%s: %w", r.URL.Path, err)
	}
	b.mu.Unlock()
	if fault != nil {
		fault(w, r)
		return
	}
	otlpsink.Accept(w, r)
}

func (d *Received) take(batch otlpsink.Batch, accept bool) error {
	switch {
	case batch.Traces != nil && accept:
		d.takeTraces(*batch.Traces)
	case batch.Traces != nil:
		d.RefusedSpans += uint64(batch.Traces.SpanCount())
	case accept:
		return d.takeMetrics(*batch.Metrics)
	}
	return nil
}

func (d *Received) takeTraces(td ptrace.Traces) {
	d.Spans += uint64(td.SpanCount())
	if d.Spans > 10_000 { // enough to look at
		return
	}
	for resource, s := range otlpsink.Spans(td) {
		d.Each = append(d.Each, s)
		d.Resources = append(d.Resources, resource)
	}
}

// counted is the calls of a point of socket.getsockopt.calls.
type counted struct {
	service string
	calls   uint64
	at      pcommon.Timestamp
}

// pointID is a point from its start to its end.
type pointID struct {
	identity string
	start    pcommon.Timestamp
}

// sent is what one start of a receiver has sent.
type sent map[pointID]counted

func (d *Received) takeMetrics(md pmetric.Metrics) (err error) {
	request := sent{}
	for resource, m := range otlpsink.Metrics(md) {
		if m.Name() != "socket.getsockopt.calls" {
			continue
		}
		service := otlpsink.Text(resource.Attributes(), "service.name")
		for _, p := range m.Sum().DataPoints().All() {
			if p.Timestamp() < p.StartTimestamp() {
				err = fmt.Errorf("a point that ends at %v, before it starts at %v", p.Timestamp(), p.StartTimestamp())
			}
			id := pointID{fmt.Sprint(resource.Attributes().AsRaw(), p.Attributes().AsRaw()), p.StartTimestamp()}
			request[id] = counted{service, uint64(p.IntValue()), p.Timestamp()}
		}
	}
	if len(request) == 0 {
		return err
	}
	if len(d.starts) == 0 || d.anew(request) {
		d.starts = append(d.starts, sent{})
	}
	now := d.starts[len(d.starts)-1]
	for id, c := range request {
		if before := now[id].calls; c.calls < before {
			err = fmt.Errorf("calls of %s went from %d back to %d", id.identity, before, c.calls)
		}
		now[id] = c
		d.last = max(d.last, c.at)
	}
	return err
}

// anew reports whether the receiver has started anew: all points are new, and one was there
// before.
func (d *Received) anew(request sent) bool {
	known := map[string]bool{}
	for id := range d.starts[len(d.starts)-1] {
		known[id.identity] = true
	}
	again := false
	for id := range request {
		if id.start <= d.last {
			return false
		}
		again = again || known[id.identity]
	}
	return again
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
	copied.starts = slices.Clone(d.starts)
	for i := range copied.starts {
		copied.starts[i] = maps.Clone(copied.starts[i])
	}
	return copied, d.err
}

// Calls is the sum of socket.getsockopt.calls since the receiver's newest start, in points
// that are no longer sent, too.
func (d Received) Calls() (n uint64) {
	if len(d.starts) == 0 {
		return 0
	}
	return d.starts[len(d.starts)-1].sum(func(counted) bool { return true })
}

// CallsOf is the same for one service.
func (d Received) CallsOf(service string) (n uint64) {
	if len(d.starts) == 0 {
		return 0
	}
	return d.starts[len(d.starts)-1].sum(func(c counted) bool { return c.service == service })
}

// Ended is those of Calls that are in points which the last collection did not have.
func (d Received) Ended() uint64 {
	if len(d.starts) == 0 {
		return 0
	}
	return d.starts[len(d.starts)-1].sum(func(c counted) bool { return c.at < d.last })
}

// AllCalls is the sum over all starts of a receiver.
func (d Received) AllCalls() (n uint64) {
	for _, start := range d.starts {
		n += start.sum(func(counted) bool { return true })
	}
	return n
}

// Starts is how often the receiver began to count.
func (d Received) Starts() int { return len(d.starts) }

func (s sent) sum(which func(counted) bool) (n uint64) {
	for _, c := range s {
		if which(c) {
			n += c.calls
		}
	}
	return n
}
