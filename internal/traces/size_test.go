// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"maps"
	"reflect"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

const callersNamespace = 4026532203

// connected is SO_ERROR of a TCP connection.
func connected() *record.Call {
	c := call()
	c.Flags |= record.FlagValue | record.FlagSocket
	c.Value = []byte{0, 0, 0, 0}
	c.FD, c.ThreadID, c.CPU = 9, 4713, 3
	c.Comm = []byte("client-io")
	c.Socket = record.Socket{
		Family: unix.AF_INET, Type: unix.SOCK_STREAM, Protocol: unix.IPPROTO_TCP, State: unix.BPF_TCP_ESTABLISHED, NetNS: callersNamespace, Cookie: 12345,
		Local: endpoint(ip("172.17.0.2"), 40000), Peer: endpoint(ip("10.0.0.7"), 5432),
	}
	return c
}

// unreachable is the same after an ICMP error that the connection survives.
func unreachable() *record.Call {
	c := connected()
	c.Flags |= record.FlagPendingError
	c.Error, c.Value = int32(unix.EHOSTUNREACH), []byte{byte(unix.EHOSTUNREACH), 0, 0, 0}
	return c
}

// refused is the same for a connect that was refused, which gave the local port back.
func refused() *record.Call {
	c := connected()
	c.Flags |= record.FlagPendingError
	c.Error, c.Value = int32(unix.ECONNREFUSED), []byte{byte(unix.ECONNREFUSED), 0, 0, 0}
	c.Socket.State, c.Socket.Local.Port, c.Socket.Cookie = tcpClose, 0, 0
	return c
}

func caller() *workload.Resource {
	return workload.FromProcess(&record.Process{Key: record.ProcessKey{PID: 1}, NetNamespace: callersNamespace}, time.Time{}, "", []record.NameFallback{record.FallbackExecutable})
}

// everything is a span without omissions.
var everything = Always{
	LevelCode: true, Code: true, Value: true, ValueInt: true, Entry: true,
	Family: true, Type: true, Protocol: true, State: true, Cookie: true, NetworkNamespace: true,
}

// TestSpanSizeOnTheWire bounds the encoded size of a span: the difference that one more
// span of the same process makes.
func TestSpanSizeOnTheWire(t *testing.T) {
	once := map[string]any{
		"socket.option.level":      "SOL_SOCKET",
		"socket.option.name":       "SO_ERROR",
		"socket.option.value":      "0",
		"socket.option.value_int":  int64(0),
		"socket.option.length_in":  int64(4),
		"socket.option.length_out": int64(4),
		"syscall.return_value":     int64(0),
		"socket.fd":                int64(9),
		"network.transport":        "tcp",
		"network.type":             "ipv4",
		"network.local.address":    "172.17.0.2",
		"network.local.port":       int64(40000),
		"network.peer.address":     "10.0.0.7",
		"network.peer.port":        int64(5432),
		"thread.id":                int64(4713),
		"thread.name":              "client-io",
		"cpu.logical_number":       int64(3),
	}
	all := maps.Clone(once)
	maps.Copy(all, map[string]any{
		"socket.option.level_code": int64(1),
		"socket.option.code":       int64(4),
		"socket.entry":             "syscall",
		"socket.family":            "AF_INET",
		"socket.type":              "SOCK_STREAM",
		"socket.protocol":          "IPPROTO_TCP",
		"socket.state":             "ESTABLISHED",
		"socket.cookie":            "12345",
		"socket.network_namespace": int64(callersNamespace),
	})
	failed := maps.Clone(once)
	maps.Copy(failed, map[string]any{
		"error.type":              "EHOSTUNREACH",
		"socket.option.value":     "EHOSTUNREACH",
		"socket.option.value_int": int64(113),
	})
	failed["socket.state"] = "ESTABLISHED"
	closed := maps.Clone(once)
	maps.Copy(closed, map[string]any{
		"error.type":              "ECONNREFUSED",
		"socket.option.value":     "ECONNREFUSED",
		"socket.option.value_int": int64(111),
	})
	delete(closed, "network.local.port")
	for name, test := range map[string]struct {
		call   *record.Call
		always Always
		want   map[string]any
		bytes  int
	}{
		"default":           {connected(), Always{}, once, 600},
		"refused":           {refused(), Always{}, closed, 600},
		"error survived":    {unreachable(), Always{}, failed, 670},
		"without omissions": {connected(), everything, all, 860},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{ValuesEnabled: true, PendingErrorStatus: true, Always: test.always}
			process := caller()
			batch := func(spans int) ptrace.Traces {
				b := New(o)
				b.SetClock(1_700_000_000_000_000_000)
				for range spans {
					b.Add(test.call, process)
				}
				return b.Take()
			}
			got := batch(1).ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %v\nwant %v", got, test.want)
			}
			marshaler := &ptrace.ProtoMarshaler{}
			size := marshaler.TracesSize(batch(102)) - marshaler.TracesSize(batch(101))
			if size > test.bytes {
				t.Errorf("%d bytes, want at most %d", size, test.bytes)
			}
			t.Logf("%d attributes, %d bytes", len(got), size)
		})
	}
}

// Each attribute that a span leaves out is an option of its own.
func TestOptInAttributes(t *testing.T) {
	c := connected()
	c.Option, c.Value = unix.SO_TYPE, []byte{unix.SOCK_STREAM, 0, 0, 0}
	number := connected()
	number.Option, number.Value = unix.SO_SNDBUF, []byte{104, 0, 0, 0}
	for key, test := range map[string]struct {
		always Always
		call   *record.Call
		want   any
	}{
		"socket.option.level_code": {Always{LevelCode: true}, c, int64(1)},
		"socket.option.code":       {Always{Code: true}, c, int64(3)},
		"socket.option.value":      {Always{Value: true}, number, "104"},
		"socket.option.value_int":  {Always{ValueInt: true}, c, int64(1)},
		"socket.entry":             {Always{Entry: true}, c, "syscall"},
		"socket.family":            {Always{Family: true}, c, "AF_INET"},
		"socket.type":              {Always{Type: true}, c, "SOCK_STREAM"},
		"socket.protocol":          {Always{Protocol: true}, c, "IPPROTO_TCP"},
		"socket.state":             {Always{State: true}, c, "ESTABLISHED"},
		"socket.cookie":            {Always{Cookie: true}, c, "12345"},
		"socket.network_namespace": {Always{NetworkNamespace: true}, c, int64(callersNamespace)},
	} {
		t.Run(key, func(t *testing.T) {
			span := func(o Options) map[string]any {
				b := New(o)
				b.Add(test.call, caller())
				return b.Take().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()
			}
			without := span(Options{ValuesEnabled: true})
			with := span(Options{ValuesEnabled: true, Always: test.always})
			if without[key] != nil || with[key] != test.want || len(with) != len(without)+1 {
				t.Errorf("%s: %v by default, %v always, want %v", key, without[key], with[key], test.want)
			}
		})
	}
}

// An attribute that no other one implies is present by default.
func TestOmittedOnlyWhereImplied(t *testing.T) {
	for name, test := range map[string]struct {
		call *record.Call
		key  string
		want any
	}{
		"level without a name":    {change(connected(), func(c *record.Call) { c.Level = 9999 }), "socket.option.level_code", int64(9999)},
		"option without a name":   {change(connected(), func(c *record.Call) { c.Option = 9999 }), "socket.option.code", int64(9999)},
		"32-bit program":          {change(connected(), func(c *record.Call) { c.Entry = record.EntrySyscallCompat }), "socket.entry", "syscall_compat"},
		"MPTCP":                   {change(connected(), func(c *record.Call) { c.Socket.Protocol = unix.IPPROTO_MPTCP }), "socket.protocol", "IPPROTO_MPTCP"},
		"other network namespace": {change(connected(), func(c *record.Call) { c.Socket.NetNS = 42 }), "socket.network_namespace", int64(42)},
		"connection over":         {change(connected(), func(c *record.Call) { c.Socket.State = unix.BPF_TCP_CLOSE }), "socket.state", "CLOSE"},
		"port gone":               {change(connected(), func(c *record.Call) { c.Socket.Local.Port = 0 }), "socket.cookie", "12345"},
	} {
		t.Run(name, func(t *testing.T) {
			b := New(Options{})
			b.Add(test.call, caller())
			got := b.Take().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()
			if got[test.key] != test.want {
				t.Errorf("%s = %v, want %v", test.key, got[test.key], test.want)
			}
		})
	}
	// The caller's network namespace is not known.
	if got := one(t, Options{}, connected()).Attributes().AsRaw(); got["socket.network_namespace"] != int64(callersNamespace) {
		t.Errorf("network namespace %v of an unknown process's socket", got["socket.network_namespace"])
	}
}
