// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// one returns the span of a call.
func one(t *testing.T, o Options, c *record.Call) ptrace.Span {
	t.Helper()
	b := New(o)
	b.SetClock(1_700_000_000_000_000_000)
	b.Add(c, nil)
	return b.Take().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
}

func TestSpanOfACall(t *testing.T) {
	c := call()
	c.Entry, c.CPU, c.ThreadID = record.EntrySyscallCompat, 5, 77
	c.Comm = []byte("w\xffrk")
	s := one(t, Options{}, c)
	if s.Name() != "getsockopt SO_ERROR" || s.Kind() != ptrace.SpanKindInternal {
		t.Errorf("got %s, %s, want getsockopt SO_ERROR, Internal", s.Name(), s.Kind())
	}
	start := time.Unix(1_700_000_005, 0).UTC()
	if s.StartTimestamp().AsTime() != start || s.EndTimestamp().AsTime() != start.Add(1500) {
		t.Errorf("got %s to %s, want %s and 1500 ns", s.StartTimestamp(), s.EndTimestamp(), start)
	}
	if s.Status().Code() != ptrace.StatusCodeUnset || s.TraceState().AsRaw() != "ot=th:0" {
		t.Errorf("got %s, %s, want Unset, ot=th:0", s.Status().Code(), s.TraceState().AsRaw())
	}
	want := map[string]any{
		"socket.option.level":      "SOL_SOCKET",
		"socket.option.name":       "SO_ERROR",
		"socket.option.length_in":  int64(4),
		"socket.option.length_out": int64(4),
		"syscall.return_value":     int64(0),
		"socket.entry":             "syscall_compat",
		"socket.fd":                int64(3),
		"thread.id":                int64(77),
		"thread.name":              `w\xffrk`,
		"cpu.logical_number":       int64(5),
	}
	if got := s.Attributes().AsRaw(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestSpanOmitsWhatIsUnavailable(t *testing.T) {
	c := call()
	c.Flags = record.FlagNoDescriptor
	got := one(t, Options{ValuesEnabled: true}, c).Attributes().AsRaw()
	for _, key := range []string{
		"socket.option.length_in", "socket.option.length_out", "socket.option.value", "socket.option.value_int",
		"socket.fd", "thread.name", "error.type", "socket.family", "network.type",
	} {
		t.Run(key, func(t *testing.T) {
			if v, found := got[key]; found {
				t.Errorf("got %v, want none", v)
			}
		})
	}
}

// A program may give a length below 0, which the kernel refuses.
func TestNegativeLengthsAreSigned(t *testing.T) {
	c := call()
	c.Return, c.LengthIn, c.LengthOut = -int32(unix.EINVAL), 0xffffffff, 0x80000000
	got := one(t, Options{}, c).Attributes().AsRaw()
	if got["socket.option.length_in"] != int64(-1) || got["socket.option.length_out"] != int64(-1<<31) {
		t.Errorf("got %v => %v, want -1 => -2147483648", got["socket.option.length_in"], got["socket.option.length_out"])
	}
}

func TestStatusAndErrorType(t *testing.T) {
	for name, test := range map[string]struct {
		change    func(*record.Call)
		status    ptrace.StatusCode
		errorType any
	}{
		"success":       {func(*record.Call) {}, ptrace.StatusCodeUnset, nil},
		"failed":        {func(c *record.Call) { c.Return = -int32(unix.ENOPROTOOPT) }, ptrace.StatusCodeError, "ENOPROTOOPT"},
		"pending error": {func(c *record.Call) { c.Flags |= record.FlagPendingError; c.Error = int32(unix.ECONNREFUSED) }, ptrace.StatusCodeError, "ECONNREFUSED"},
		"failed with a pending error": {
			func(c *record.Call) {
				c.Return = -int32(unix.EFAULT)
				c.Flags |= record.FlagPendingError
				c.Error = int32(unix.ECONNREFUSED)
			}, ptrace.StatusCodeError, "EFAULT",
		},
		"length of io_uring": {func(c *record.Call) { c.Entry = record.EntryIOUring; c.Return = 4 }, ptrace.StatusCodeUnset, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := call()
			test.change(c)
			s := one(t, Options{PendingErrorStatus: true}, c)
			if s.Status().Code() != test.status || s.Status().Message() != "" {
				t.Errorf("got status %s %q, want %s", s.Status().Code(), s.Status().Message(), test.status)
			}
			if got := s.Attributes().AsRaw(); got["error.type"] != test.errorType || got["syscall.return_value"] != int64(c.Return) {
				t.Errorf("got %v, want error.type %v, return value %d", got, test.errorType, c.Return)
			}
		})
	}
	c := call()
	c.Flags |= record.FlagPendingError
	c.Error = int32(unix.ECONNREFUSED)
	s := one(t, Options{}, c)
	if kind, _ := s.Attributes().Get("error.type"); s.Status().Code() != ptrace.StatusCodeUnset || kind.Str() != "ECONNREFUSED" {
		t.Errorf("turned off: status %s, error.type %s", s.Status().Code(), kind.Str())
	}
}

// What has no name keeps its number.
func TestSpanWithoutNames(t *testing.T) {
	for title, test := range map[string]struct {
		level, option, result int32
		want                  map[string]any
	}{
		"option": {unix.SOL_SOCKET, -12345, -int32(unix.ENOPROTOOPT), map[string]any{
			"socket.option.level": "SOL_SOCKET", "socket.option.name": "_OTHER", "socket.option.code": int64(-12345), "error.type": "ENOPROTOOPT",
		}},
		"level and option": {9999, 4, -int32(unix.EOPNOTSUPP), map[string]any{
			"socket.option.level": "_OTHER", "socket.option.level_code": int64(9999),
			"socket.option.name": "_OTHER", "socket.option.code": int64(4), "error.type": "EOPNOTSUPP",
		}},
		"error": {unix.SOL_SOCKET, unix.SO_TYPE, -3000, map[string]any{
			"socket.option.level": "SOL_SOCKET", "socket.option.name": "SO_TYPE", "error.type": "_OTHER", "syscall.return_value": int64(-3000),
		}},
	} {
		t.Run(title, func(t *testing.T) {
			c := call()
			c.Level, c.Option, c.Return = test.level, test.option, test.result
			got := one(t, Options{}, c).Attributes().AsRaw()
			for _, key := range []string{"socket.option.level", "socket.option.level_code", "socket.option.name", "socket.option.code", "error.type"} {
				if got[key] != test.want[key] {
					t.Errorf("%s: %v, want %v", key, got[key], test.want[key])
				}
			}
			if got["syscall.return_value"] != int64(test.result) {
				t.Errorf("returned %v, want %d", got["syscall.return_value"], test.result)
			}
		})
	}
}

func TestValueAttributes(t *testing.T) {
	const tlsRX = 2 // of include/uapi/linux/tls.h
	value := func(option int32, b ...byte) *record.Call {
		c := call()
		c.Option = option
		c.Flags |= record.FlagValue
		c.Value, c.LengthOut = b, uint32(len(b))
		return c
	}
	for name, test := range map[string]struct {
		call *record.Call
		off  bool
		want map[string]any
	}{
		"number":                {value(unix.SO_SNDBUF, 0, 0, 2, 0), false, map[string]any{"socket.option.value_int": int64(131072)}},
		"symbol":                {value(unix.SO_TYPE, unix.SOCK_STREAM, 0, 0, 0), false, map[string]any{"socket.option.value": "SOCK_STREAM"}},
		"symbol without a name": {value(unix.SO_TYPE, 99, 0, 0, 0), false, map[string]any{"socket.option.value_int": int64(99)}},
		"no error":              {value(unix.SO_ERROR, 0, 0, 0, 0), false, map[string]any{"socket.option.value": "0", "socket.option.value_int": int64(0)}},
		"disabled":              {value(unix.SO_SNDBUF, 0, 0, 2, 0), true, nil},
		"failed":                {change(value(unix.SO_SNDBUF, 0, 0, 2, 0), func(c *record.Call) { c.Return = -int32(unix.EFAULT) }), false, nil},
		"read error":            {change(call(), func(c *record.Call) { c.Flags |= record.FlagValueReadError }), false, nil},
		"secret by its name": {
			change(value(tlsRX, 1, 2, 3, 4), func(c *record.Call) { c.Level = unix.SOL_TLS }), false,
			map[string]any{"socket.option.value": "<redacted>"},
		},
		"pending error": {value(unix.SO_ERROR, byte(unix.ECONNREFUSED), 0, 0, 0), false, map[string]any{"socket.option.value": "ECONNREFUSED", "socket.option.value_int": int64(unix.ECONNREFUSED)}},
		"length of io_uring": {
			change(value(unix.SO_SNDBUF, 0, 0, 2, 0), func(c *record.Call) {
				c.Flags &^= record.FlagLengthIn | record.FlagLengthOut
				c.Entry, c.Return = record.EntryIOUring, 4
			}),
			false,
			map[string]any{"socket.option.value_int": int64(131072)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := one(t, Options{ValuesEnabled: !test.off}, test.call).Attributes().AsRaw()
			maps.DeleteFunc(got, func(key string, _ any) bool { return !strings.HasPrefix(key, "socket.option.value") })
			if len(got)+len(test.want) > 0 && !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestExpandedValueIsOptIn(t *testing.T) {
	c := call()
	c.Level, c.Option = unix.SOL_TCP, unix.TCP_INFO
	c.Flags |= record.FlagValue
	c.Value = make([]byte, 104)
	binary.NativeEndian.PutUint32(c.Value[68:], 1234) // tcpi_rtt
	c.LengthOut = uint32(len(c.Value))
	o := Options{ValuesEnabled: true}
	if _, found := one(t, o, c).Attributes().Get("tcp.info.rtt_us"); found {
		t.Error("expanded although not asked for")
	}
	o.Expand = map[string]bool{"TCP_INFO": true}
	if rtt, found := one(t, o, c).Attributes().Get("tcp.info.rtt_us"); !found || rtt.Int() != 1234 {
		t.Error("not expanded")
	}
}

func change(c *record.Call, f func(*record.Call)) *record.Call {
	f(c)
	return c
}

// A receiver of OTLP drops a batch with one string that is not UTF-8, and what
// it makes of a key given twice is not defined.
func TestSpanOfAnyBytesIsValidUTF8(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	bytes := func(n int) []byte {
		b := make([]byte, random.Uint64()%uint64(n+1))
		_, _ = random.Read(b)
		return b
	}
	o := Options{ValuesEnabled: true, Expand: map[string]bool{"TCP_INFO": true}}
	for range 5000 {
		c := &record.Call{
			Flags:    record.Flags(random.Uint64()) & (1<<9 - 1),
			Entry:    record.Entry(random.Uint64() % 5),
			Level:    int32(random.Uint64() % 300),
			Option:   int32(random.Uint64() % 80),
			Return:   int32(random.Uint64()%9) - 4,
			LengthIn: uint32(random.Uint64()), LengthOut: uint32(random.Uint64() >> (random.Uint64() % 64)),
			Error: int32(random.Uint64() % 140),
			Comm:  bytes(16),
			Value: bytes(512),
			Socket: record.Socket{
				Family: uint16(random.Uint64() % 50), Type: uint16(random.Uint64() % 12), Protocol: uint16(random.Uint64() % 300),
				State: uint8(random.Uint64()), Cookie: random.Uint64(), NetNS: uint32(random.Uint64()),
				Local: endpoint(bytes(108), uint32(random.Uint64())),
				Peer:  endpoint(bytes(16), uint32(random.Uint64())),
			},
		}
		if random.Uint64()%2 == 0 {
			c.Socket.Family = afUnix
		}
		s := one(t, o, c)
		seen := map[string]bool{}
		for key, value := range s.Attributes().All() {
			if seen[key] || !utf8.ValidString(key) || !utf8.ValidString(value.AsString()) {
				t.Fatalf("%q = %q", key, value.AsString())
			}
			seen[key] = true
		}
		if !utf8.ValidString(s.Name()) {
			t.Fatalf("name %q", s.Name())
		}
	}
}
