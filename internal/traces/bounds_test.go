// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// largest are calls that use every field: numbers with the most digits, texts of bytes
// that must be escaped.
func largest() (calls []*record.Call) {
	stray := func(n int) []byte { return bytes.Repeat([]byte{0xff}, n) }
	for _, value := range []int{0, 4, 512, 4096} {
		for _, rule := range sockopt.CopyRules() {
			for _, family := range []uint16{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_VSOCK, 0xffff} {
				c := &record.Call{
					Process:    record.ProcessKey{PID: 1},
					Flags:      record.FlagLengthIn | record.FlagLengthOut | record.FlagValue | record.FlagSocket | record.FlagPendingError,
					Entry:      record.EntrySyscallCompat,
					Start:      math.MaxInt64 / 2,
					Duration:   math.MaxInt64 / 2,
					Randomness: 1<<56 - 1,
					Threshold:  1<<56 - 2,
					ThreadID:   math.MaxUint32, CPU: math.MaxUint32,
					FD: math.MinInt32, Level: rule.Level, Option: rule.Code,
					LengthIn: math.MaxUint32, LengthOut: uint32(value), Error: 131,
					Comm:   stray(16),
					Parent: record.Parent{TraceID: [16]byte{1}, SpanID: [8]byte{1}, Flags: 0xff, Source: record.SourceThreadContext},
					Value:  stray(value),
					Socket: record.Socket{
						Family: family, Type: 0xffff, Protocol: 0xffff, State: 0xff, NetNS: math.MaxUint32, Cookie: math.MaxUint64,
					},
				}
				length := map[uint16]int{unix.AF_UNIX: 108, unix.AF_INET: 4, unix.AF_INET6: 16, unix.AF_VSOCK: 4}[family]
				c.Socket.Local = record.Endpoint{Address: stray(length), Port: math.MaxUint32}
				c.Socket.Peer = c.Socket.Local
				unknown := *c
				unknown.Level, unknown.Option, unknown.Return, unknown.Flags = math.MinInt32, math.MinInt32, -1, record.FlagSocket
				calls = append(calls, c, &unknown)
			}
		}
	}
	return calls
}

// The estimated size of a batch is never below its encoded size.
func TestEstimatedSizesAreUpperBounds(t *testing.T) {
	var sizer ptrace.ProtoMarshaler
	for _, c := range largest() {
		b := New(Options{Version: "1.2.3", ValuesEnabled: true, Expand: map[string]bool{"TCP_INFO": true}})
		b.SetClock(math.MaxInt64 / 4)
		for range 3 {
			b.Add(c, nil)
		}
		bound := b.bytes
		if n := sizer.TracesSize(b.Take()); n > bound {
			t.Errorf("%d bytes, thought to be %d at most: level %d option %d family %d, a value of %d bytes", n, bound, c.Level, c.Option, c.Socket.Family, len(c.Value))
		}
	}
	for _, r := range []*workload.Resource{
		{},
		process(math.MaxUint32, strings.Repeat("\xff", 255)),
		workload.FromProcess(&record.Process{
			Key: record.ProcessKey{PID: math.MaxUint32, Start: 1}, ParentPID: math.MaxUint32, NamespacePID: math.MaxUint32,
			UID: math.MaxUint32, RealUID: math.MaxUint32, PIDNamespace: math.MaxUint32, MountNamespace: math.MaxUint32, NetNamespace: math.MaxUint32,
			ExecutablePath: "/" + strings.Repeat("\xff", 4000),
			Environment:    []string{"OTEL_RESOURCE_ATTRIBUTES=" + strings.Repeat("a=b,", 1000) + "service.name=x"},
		}, time.Unix(1_700_000_000, 0), "0::/"+strings.Repeat("\xff", 4000), []record.NameFallback{record.FallbackExecutable}),
	} {
		b := New(Options{Version: strings.Repeat("1", 64)})
		b.Add(call(), r)
		bound := b.bytes - spanBytes
		batch := b.Take()
		batch.ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(func(ptrace.Span) bool { return true })
		if n := sizer.TracesSize(batch); n > bound {
			t.Errorf("a resource of %d attributes takes %d bytes, thought to be %d at most", len(r.Attributes), n, bound)
		}
	}
}

// No attribute is written twice: the spans do not look for one of the same name.
func TestAttributesAreUnique(t *testing.T) {
	expand := make(map[string]bool)
	for _, o := range sockopt.NamedOptions() {
		option, _ := sockopt.Lookup(o.Level, o.Code, sockopt.Where{})
		expand[option.Name] = true
	}
	for _, c := range largest() {
		a := one(t, Options{ValuesEnabled: true, Expand: expand, Always: everything}, c).Attributes()
		seen := make(map[string]bool)
		for key := range a.All() {
			if seen[key] {
				t.Fatalf("two attributes %s: level %d option %d family %d", key, c.Level, c.Option, c.Socket.Family)
			}
			seen[key] = true
		}
	}
}

// A bound that is far above the truth would cut batches for nothing: 1024 common
// calls are one.
func TestCommonCallsFit(t *testing.T) {
	b := New(Options{ValuesEnabled: true})
	c := call()
	c.Flags |= record.FlagLengthIn | record.FlagLengthOut | record.FlagValue | record.FlagSocket
	c.Comm, c.Value, c.Option = []byte("a common worker"), []byte{0, 0, 2, 0}, unix.SO_SNDBUF
	address := record.Endpoint{Address: ip("2001:db8:1111:2222:3333:4444:5555:6666"), Port: 65535}
	c.Socket = record.Socket{Family: unix.AF_INET6, Type: unix.SOCK_STREAM, Protocol: unix.IPPROTO_TCP, State: unix.BPF_TCP_ESTABLISHED, NetNS: 4026531840, Cookie: 123456, Local: address, Peer: address}
	shop := process(1, "shop")
	for n := range 1024 {
		if !b.Fits(c, shop, 2<<20) {
			t.Fatalf("%d calls fit", n)
		}
		b.Add(c, shop)
	}
}

// A call does not fit if the batch would exceed its bound with the call and its resource,
// unless the batch is empty.
func TestFitsBoundsABatch(t *testing.T) {
	b := New(Options{})
	large := &workload.Resource{Attributes: []workload.Attribute{{Key: "k", Str: strings.Repeat("v", 4000)}}}
	if !b.Fits(call(), large, 1) {
		t.Error("an empty batch takes any call")
	}
	b.Add(call(), large)
	full := b.bytes + spanBytes
	if !b.Fits(call(), large, full) || b.Fits(call(), large, full-1) {
		t.Error("a call of the same process takes no more than its span")
	}
	other := call()
	other.Process.PID++
	if b.Fits(other, large, full+4000) || !b.Fits(other, large, full+4000+scopeBytes+attributeBytes+1) {
		t.Error("a call of another process takes its resource besides")
	}
	b.Take()
	if b.bytes != 0 {
		t.Errorf("a new batch begins with %d bytes", b.bytes)
	}
}
