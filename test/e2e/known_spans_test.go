// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

func (k known) checkSpans(t *testing.T, spans []span) {
	t.Helper()
	kinds := caller.Kinds()
	if len(spans) != rounds*len(kinds) {
		t.Fatalf("%d spans, want %d", len(spans), rounds*len(kinds))
	}
	ids := map[string]bool{}
	for i, s := range spans {
		kind := kinds[i%len(kinds)]
		want := "getsockopt " + kind.Name
		if s.Name != want || s.Kind != kindInternal || s.ParentSpanID != "" {
			t.Errorf("span %d is %q, kind %d, parent %q, want %q, internal, none", i, s.Name, s.Kind, s.ParentSpanID, want)
		}
		status := statusUnset
		if kind.Return < 0 || kind.Pending != 0 {
			status = statusError
		}
		if s.Status.Code != status || s.Status.Message != "" {
			t.Errorf("span %d, %s: status %+v, want %d without a message", i, s.Name, s.Status, status)
		}
		if s.TraceState != "ot=th:0" || s.Flags&0xff != 3 {
			t.Errorf("span %d: tracestate %q, flags %#x, want ot=th:0, sampled and random", i, s.TraceState, s.Flags)
		}
		if len(s.TraceID) != 32 || len(s.SpanID) != 16 || ids[s.TraceID] || ids[s.SpanID] {
			t.Errorf("span %d: trace %q, span %q, want two new ids", i, s.TraceID, s.SpanID)
		}
		ids[s.TraceID], ids[s.SpanID] = true, true
		k.checkTimes(t, i, spans)
		k.checkAttributes(t, i, s, kind)
		if t.Failed() && (i+1)%len(kinds) == 0 {
			t.Fatal("the rounds that follow are not looked at")
		}
	}
}

func (k known) checkTimes(t *testing.T, i int, spans []span) {
	t.Helper()
	s := spans[i]
	// The clocks are compared across two processes, hence the leeway.
	const leeway = time.Millisecond
	if s.Start < uint64(k.began.Add(-leeway).UnixNano()) || s.End > uint64(k.over.Add(leeway).UnixNano()) || s.End <= s.Start {
		t.Errorf("span %d lasts from %d to %d, the program ran from %d to %d", i, s.Start, s.End, k.began.UnixNano(), k.over.UnixNano())
	}
	if i > 0 && s.Start < spans[i-1].End {
		t.Errorf("span %d begins %d ns before the one before it ends", i, spans[i-1].End-s.Start)
	}
}

// sockets are those of caller.Kinds, as a span shows them.
var sockets = []attributes{
	tcp4, tcp4, udp4, udp6, unixStream, refused4, unixStream, {}, tcp4, tcp4,
}

var (
	tcp4 = attributes{
		"socket.state": "CLOSE", "network.transport": "tcp", "network.type": "ipv4",
	}
	udp4 = attributes{
		"network.transport": "udp", "network.type": "ipv4",
	}
	udp6 = attributes{
		"socket.family": "AF_INET6", "network.transport": "udp",
	}
	unixStream = attributes{
		"socket.type": "SOCK_STREAM", "network.transport": "unix",
	}
	refused4 = attributes{
		"network.transport": "tcp", "network.type": "ipv4",
		"network.local.address": "127.0.0.1", "network.peer.address": "127.0.0.1",
	}
)

// levels of caller.Kinds.
var levels = map[int]string{1: "SOL_SOCKET", 6: "IPPROTO_TCP", 41: "IPPROTO_IPV6"}

// numbers are the values that are numbers; those of the others have names. An
// error has both.
var numbers = []any{nil, int64(0), int64(0), int64(1), nil, int64(111), nil, nil, nil, nil}

// errorNames are those of the errors that calls of the known program return.
var errorNames = map[syscall.Errno]string{
	syscall.EOPNOTSUPP: "EOPNOTSUPP", syscall.EBADF: "EBADF", syscall.EFAULT: "EFAULT",
}

func (k known) checkAttributes(t *testing.T, i int, s span, kind caller.Call) {
	t.Helper()
	of := i % len(caller.Kinds())
	want := maps.Clone(sockets[of])
	want["socket.option.level"] = levels[kind.Level]
	want["socket.option.name"] = kind.Name
	want["syscall.return_value"] = int64(kind.Return)
	switch {
	case kind.Pending != 0:
		want["error.type"] = "ECONNREFUSED"
	case kind.Return < 0:
		want["error.type"] = errorNames[syscall.Errno(-kind.Return)]
	}
	if numbers[of] != nil {
		want["socket.option.value_int"] = numbers[of]
	}
	if kind.Value != "" && (numbers[of] == nil || kind.Pending != 0) {
		want["socket.option.value"] = kind.Value
	}
	if !noLength[of] {
		want["socket.option.length_in"] = int64(4096)
		want["socket.option.length_out"] = int64(4096) // untouched
		if kind.Return == 0 {
			want["socket.option.length_out"] = int64(4)
		}
	}
	want["thread.name"] = filepath.Base(k.cmd.Path)

	got := maps.Clone(s.Attributes)
	takeInt := func(key string, low, high int64) {
		t.Helper()
		if n, ok := got[key].(int64); !ok || n < low || n > high {
			t.Errorf("span %d, %s: %s is %v, want %d to %d", i, s.Name, key, got[key], low, high)
		}
		delete(got, key)
	}
	takeInt("thread.id", int64(k.pid()), math.MaxInt32)
	takeInt("cpu.logical_number", 0, 4096)
	if len(sockets[of]) == 0 {
		takeInt("socket.fd", -1, -1)
	} else {
		takeInt("socket.fd", 3, 1024)
	}
	if want["network.peer.address"] != nil {
		takeInt("network.peer.port", 1, math.MaxUint16)
	}
	if !maps.Equal(got, want) {
		t.Errorf("span %d, %s: attributes\n%v, want\n%v", i, s.Name, listed(got), listed(want))
	}
}

// noLength marks the kind of call whose optlen is NULL.
var noLength = map[int]bool{8: true}

func listed(a attributes) string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(a)) {
		lines = append(lines, fmt.Sprintf("  %s = %#v", key, a[key]))
	}
	return strings.Join(lines, "\n")
}
