// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"encoding/binary"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/pdatautil"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

func TestBatchGroupsSpansByProcess(t *testing.T) {
	b := New(Options{Version: "1.2.3"})
	shop, cart := process(1, "shop"), process(2, "cart")
	for i, who := range []struct {
		pid      uint32
		resource *workload.Resource
	}{{1, shop}, {1, shop}, {2, cart}, {1, shop}, {3, nil}, {2, cart}, {3, nil}} {
		c := call()
		c.Process.PID = who.pid
		c.ThreadID = uint32(i)
		b.Add(c, who.resource)
	}
	if b.Len() != 7 {
		t.Errorf("length %d, want 7", b.Len())
	}
	batch := b.Take()
	if batch.SpanCount() != 7 || b.Len() != 0 {
		t.Errorf("%d spans taken, %d left, want 7 and 0", batch.SpanCount(), b.Len())
	}
	want := []struct {
		service string
		threads []int64
	}{{"shop", []int64{0, 1, 3}}, {"cart", []int64{2, 5}}, {"", []int64{4, 6}}}
	if batch.ResourceSpans().Len() != len(want) {
		t.Fatalf("%d resources, want %d", batch.ResourceSpans().Len(), len(want))
	}
	for i, w := range want {
		rs := batch.ResourceSpans().At(i)
		if name, _ := rs.Resource().Attributes().Get("service.name"); name.Str() != w.service {
			t.Errorf("service %q, want %q", name.Str(), w.service)
		}
		if rs.ScopeSpans().Len() != 1 {
			t.Fatalf("%d scopes, want 1", rs.ScopeSpans().Len())
		}
		ss := rs.ScopeSpans().At(0)
		if ss.Scope().Name() != pdatautil.ScopeName || ss.Scope().Version() != "1.2.3" {
			t.Errorf("scope %s %s, want %s 1.2.3", ss.Scope().Name(), ss.Scope().Version(), pdatautil.ScopeName)
		}
		if ss.Spans().Len() != len(w.threads) {
			t.Fatalf("%s: %d spans, want %d", w.service, ss.Spans().Len(), len(w.threads))
		}
		for j, thread := range w.threads {
			if id, _ := ss.Spans().At(j).Attributes().Get("thread.id"); id.Int() != thread {
				t.Errorf("%s: span %d of thread %d, want %d", w.service, j, id.Int(), thread)
			}
		}
	}
}

// What is known of a process may arrive after its first call.
func TestResourceArrivesLate(t *testing.T) {
	b := New(Options{})
	b.Add(call(), nil)
	b.Add(call(), process(1, "shop"))
	if n := b.Take().ResourceSpans().Len(); n != 2 {
		t.Errorf("%d resources", n)
	}
}

func TestTakeStartsAnEmptyBatch(t *testing.T) {
	b := New(Options{})
	if n := b.Take().SpanCount(); n != 0 {
		t.Errorf("%d spans in a batch of none, want 0", n)
	}
	shop := process(1, "shop")
	b.Add(call(), shop)
	first := b.Take()
	b.Add(call(), shop)
	b.Add(call(), shop)
	if second := b.Take(); first.SpanCount() != 1 || second.SpanCount() != 2 {
		t.Errorf("%d and %d spans, want 1 and 2", first.SpanCount(), second.SpanCount())
	}
}

// The buffers of a call are the reader's, and are read into again.
func TestSpansCopyTheReadersBuffers(t *testing.T) {
	b := New(Options{ValuesEnabled: true})
	c := call()
	c.Flags |= record.FlagSocket | record.FlagValue | record.FlagLengthOut
	c.Comm = []byte("worker")
	c.Value, c.LengthOut = []byte{byte(unix.ECONNREFUSED), 0, 0, 0}, 4
	c.Socket = record.Socket{Family: unix.AF_UNIX, Type: unix.SOCK_STREAM, Local: record.Endpoint{Address: []byte("/run/a")}}
	b.Add(c, nil)
	want := marshal(t, b.batch)
	for _, buffer := range [][]byte{c.Comm, c.Value, c.Socket.Local.Address} {
		for i := range buffer {
			buffer[i] = 'X'
		}
	}
	for range 1000 { // fills several chunks of the arena
		b.Add(call(), process(2, "other"))
	}
	batch := b.Take()
	batch.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		name, _ := rs.Resource().Attributes().Get("service.name")
		return name.Str() == "other"
	})
	if got := marshal(t, batch); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTraceIDsCarryTheRandomness(t *testing.T) {
	b := New(Options{})
	traces, spans := map[[16]byte]bool{}, map[[8]byte]bool{}
	const calls = 2000
	for i := range uint64(calls) {
		c := call()
		c.Randomness = 0xff<<56 | i // what is above 56 bits is not part of it
		b.Add(c, nil)
	}
	for _, s := range b.Take().ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		id := s.TraceID()
		if low := binary.BigEndian.Uint64(id[8:]) & (1<<56 - 1); low != uint64(len(traces)) {
			t.Fatalf("randomness %#x, want %#x", low, len(traces))
		}
		if binary.BigEndian.Uint64(id[:8]) == 0 || s.SpanID().IsEmpty() {
			t.Fatalf("ids %s, %s, want neither to be zero", id, s.SpanID())
		}
		if s.Flags() != 3 || !s.ParentSpanID().IsEmpty() {
			t.Fatalf("flags %#x, parent %s, want 0x3 and none", s.Flags(), s.ParentSpanID())
		}
		traces[id], spans[s.SpanID()] = true, true
	}
	if len(traces) != calls || len(spans) != calls {
		t.Errorf("%d trace ids, %d span ids, want %d", len(traces), len(spans), calls)
	}
	if other := New(Options{}); other.ids.span() == b.ids.span() {
		t.Error("two builders draw the same ids")
	}
}

func TestTracestate(t *testing.T) {
	b := New(Options{})
	for threshold, want := range map[uint64]string{
		0:                "ot=th:0",
		1 << 55:          "ot=th:8",              // 1/2
		3 << 54:          "ot=th:c",              // 1/4
		0xe6666666666666: "ot=th:e6666666666666", // 1/10
		0xfd70a3d70a3d71: "ot=th:fd70a3d70a3d71", // 1/100
		0xfd70a000000000: "ot=th:fd70a",
		1:                "ot=th:00000000000001",
		0x00100000000000: "ot=th:001",
		1<<56 - 1:        "ot=th:ffffffffffffff",
	} {
		t.Run(want, func(t *testing.T) {
			for range 2 {
				if got := b.thresholds.state(threshold); got != want {
					t.Errorf("%#x: %q, want %q", threshold, got, want)
				}
			}
		})
	}
}

func TestThresholdsAreBounded(t *testing.T) {
	b := New(Options{})
	for i := range 2 * thresholdsMax {
		c := call()
		c.Threshold = uint64(i)
		b.Add(c, nil)
	}
	if len(b.thresholds) > thresholdsMax {
		t.Errorf("%d thresholds are remembered, want at most %d", len(b.thresholds), thresholdsMax)
	}
}

// call is a call like most: SO_ERROR, without an error.
func call() *record.Call {
	return &record.Call{
		Process:  record.ProcessKey{Start: 1e9, PID: 1},
		Flags:    record.FlagLengthIn | record.FlagLengthOut,
		Start:    5e9,
		Duration: 1500,
		ThreadID: 1,
		FD:       3,
		Level:    unix.SOL_SOCKET,
		Option:   unix.SO_ERROR,
		LengthIn: 4, LengthOut: 4,
	}
}

func process(pid uint32, name string) *workload.Resource {
	return workload.FromProcess(&record.Process{
		Key:            record.ProcessKey{Start: 1e9, PID: pid},
		ParentPID:      1,
		NamespacePID:   pid,
		ExecutableName: name,
		ExecutablePath: "/usr/bin/" + name,
	}, time.Unix(1_700_000_000, 0), "", []record.NameFallback{record.FallbackExecutable})
}

func marshal(t *testing.T, batch ptrace.Traces) string {
	t.Helper()
	b, err := (&ptrace.JSONMarshaler{}).MarshalTraces(batch)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
