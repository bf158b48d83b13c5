// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/getsockopt/getsockoptreceiver/bpf"
)

func bytesOf[T any](v *T) []byte {
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)))
}

func callBytes(change func(*bpf.GetsockoptCallRecord), tail string) []byte {
	r := bpf.GetsockoptCallRecord{
		Header: bpf.GetsockoptRecordHeader{Version: Version, Kind: kindCall, Owner: 9, Group: 29},
		Entry:  2, SocketState: 7,
		Process: bpf.GetsockoptProcessKey{Start: 11, Pid: 12, ExecId: 13},
		Start:   14, Duration: 15, Randomness: 16, Threshold: 17, SocketCookie: 18,
		Tid: 19, Cpu: 20, Fd: -21, Level: -22, Option: 23, Result: -24,
		LengthIn: 25, LengthOut: 26, NetworkNamespace: 27, Error: 28,
		Family: 2, Type: 30, Protocol: 31,
	}
	copy(r.Comm[:], []int8{'c', 'u', 'r', 'l'})
	if change != nil {
		change(&r)
	}
	return append(bytesOf(&r), tail...)
}

func TestDecodeCall(t *testing.T) {
	b := callBytes(func(r *bpf.GetsockoptCallRecord) {
		r.Flags = uint32(FlagSocket | FlagValue | FlagLengthIn)
		r.ValueLength = 3
		r.Local.Address, r.Local.Port, r.Local.Length = [16]uint8{127, 0, 0, 1}, 80, 4
	}, "abcdef")
	var got Call
	isCall, err := Decode(b, &got, nil)
	if err != nil || !isCall {
		t.Fatalf("Decode: %t, %v", isCall, err)
	}
	want := Call{
		Process: ProcessKey{Start: 11, PID: 12, ExecID: 13}, Flags: FlagSocket | FlagValue | FlagLengthIn,
		Entry: EntrySocketcall, Start: 14, Duration: 15, Randomness: 16, Threshold: 17, ThreadID: 19, CPU: 20,
		FD: -21, Level: -22, Option: 23, Return: -24, LengthIn: 25, LengthOut: 26, Error: 28, Group: 29,
		Comm: []byte("curl"), Value: []byte("abc"),
		Socket: Socket{
			Family: 2, Type: 30, Protocol: 31, State: 7, NetNS: 27, Cookie: 18,
			Local: Endpoint{Address: []byte{127, 0, 0, 1}, Port: 80}, Peer: Endpoint{Address: []byte{}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeParent(t *testing.T) {
	parent := bpf.GetsockoptSpanParent{Trace: [16]uint8{1, 15: 2}, Span: [8]uint8{3, 7: 4}, Flags: 3, Source: uint8(SourceThreadContext)}
	want := Parent{TraceID: parent.Trace, SpanID: parent.Span, Flags: 3, Source: SourceThreadContext}
	for name, test := range map[string]struct {
		source ParentSource
		want   Parent
		err    error
	}{
		"thread context": {SourceThreadContext, want, nil},
		"none":           {SourceNone, Parent{}, nil},
		"unknown":        {Sources, Parent{}, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			parent.Source = uint8(test.source)
			var got Call
			_, err := Decode(callBytes(func(r *bpf.GetsockoptCallRecord) { r.Parent = parent }, ""), &got, nil)
			if !errors.Is(err, test.err) || got.Parent != test.want {
				t.Errorf("got %+v, %v, want %+v, %v", got.Parent, err, test.want, test.err)
			}
		})
	}
}

func TestDecodeUnixCall(t *testing.T) {
	tail := make([]byte, 2*unixPathSize+2)
	copy(tail, "/run/x")
	copy(tail[unixPathSize:], "\x00abstract")
	copy(tail[2*unixPathSize:], "ok")
	b := callBytes(func(r *bpf.GetsockoptCallRecord) {
		r.Flags, r.Family, r.ValueLength = uint32(FlagSocket|FlagValue), 1, 2
		r.Local.Length, r.Peer.Length = 6, 9
	}, string(tail))
	var got Call
	if _, err := Decode(b, &got, nil); err != nil {
		t.Fatal(err)
	}
	if string(got.Socket.Local.Address) != "/run/x" || string(got.Socket.Peer.Address) != "\x00abstract" || string(got.Value) != "ok" {
		t.Errorf("got %q, %q, %q", got.Socket.Local.Address, got.Socket.Peer.Address, got.Value)
	}
}

func processBytes(environment, executable, cgroup string) []byte {
	const unit = "web@1.service\x00"
	r := bpf.GetsockoptProcessRecord{
		Header:    bpf.GetsockoptRecordHeader{Version: Version, Kind: kindProcess, Owner: 10, Group: 3},
		Flags:     environmentUnavailable,
		Process:   bpf.GetsockoptProcessKey{Start: 11, Pid: 12, ExecId: 13},
		ParentPid: 4, NamespacePid: 5, User: 6, RealUser: 7,
		PidNamespace: 8, MountNamespace: 9, NetworkNamespace: 10,
		EnvironmentLength: uint16(len(environment)),
		ExecutableLength:  uint16(len(executable)),
		CgroupLength:      uint16(len(cgroup)),
		CgroupHierarchy:   11,
		UnitLength:        uint16(len(unit)),
		UnitServiceLength: uint16(len("web")),
	}
	copy(r.Comm[:], []int8{-1, 'x'})
	for i := range r.Container {
		r.Container[i] = 'c' // fills it, without a NUL
	}
	for i := range r.Pod {
		r.Pod[i] = 'p'
	}
	return append(bytesOf(&r), environment+executable+cgroup+unit...)
}

func TestDecodeProcess(t *testing.T) {
	b := processBytes("OTEL_SERVICE_NAME=a\x00OTEL_RESOURCE_ATTRIBUTES=b=c\x00", "curl\x00curl\x00bin\x00usr\x00",
		"abc.scope\x00system.slice\x00")
	var got Process
	isCall, err := Decode(b, nil, &got)
	if err != nil || isCall {
		t.Fatalf("Decode: %t, %v", isCall, err)
	}
	want := Process{
		Key: ProcessKey{Start: 11, PID: 12, ExecID: 13}, Group: 3, ParentPID: 4, NamespacePID: 5, UID: 6, RealUID: 7,
		PIDNamespace: 8, MountNamespace: 9, NetNamespace: 10, Comm: "\xffx", ExecutableName: "curl", ExecutablePath: "/usr/bin/curl",
		ContainerID:     strings.Repeat("c", 64),
		PodUID:          strings.Repeat("p", 36),
		SystemdUnit:     "web@1.service",
		UnitService:     "web",
		CgroupHierarchy: 11,
		CgroupPath:      "/system.slice/abc.scope",
		Environment:     []string{"OTEL_SERVICE_NAME=a", "OTEL_RESOURCE_ATTRIBUTES=b=c"},
		EnvironmentLost: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// What has no path, or is at the root.
func TestDecodePaths(t *testing.T) {
	for name, test := range map[string]struct {
		executable, cgroup string
		hierarchy          uint32
		flags              uint16
		want               [3]string // name and path of the executable, path of the cgroup
	}{
		"kernel thread":     {"", "", NoHierarchy, 0, [3]string{"", "", "/"}},
		"path cut":          {"curl\x00", "a\x00", 0, 0, [3]string{"curl", "", "/a"}},
		"mounted file":      {"curl\x00curl\x00bin\x00", "b\x00a\x00", 3, 0, [3]string{"curl", "/bin/curl", "/a/b"}},
		"memfd":             {"memfd:a/b\x00memfd:a/b\x00", "a\x00", 0, 0, [3]string{"memfd:a/b", "/memfd:a/b", "/a"}},
		"cgroup cut":        {"a\x00a\x00", "", 0, cgroupCut, [3]string{"a", "/a", ""}},
		"no hierarchy seen": {"a\x00a\x00", "", NoHierarchy, cgroupCut, [3]string{"a", "/a", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			b := processBytes("", test.executable, test.cgroup)
			var r bpf.GetsockoptProcessRecord
			binary.NativeEndian.PutUint32(b[unsafe.Offsetof(r.CgroupHierarchy):], test.hierarchy)
			binary.NativeEndian.PutUint16(b[unsafe.Offsetof(r.Flags):], test.flags)
			var p Process
			if _, err := Decode(b, nil, &p); err != nil {
				t.Fatal(err)
			}
			if got := [3]string{p.ExecutableName, p.ExecutablePath, p.CgroupPath}; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestSender(t *testing.T) {
	for _, test := range []struct {
		b     []byte
		group uint32
		owner uint16
	}{
		{callBytes(nil, ""), 29, 9},
		{processBytes("", "", ""), 3, 10},
		{callBytes(nil, "")[:7], 0, 0},
		{nil, 0, 0},
	} {
		if group, owner := Sender(test.b); group != test.group || owner != test.owner {
			t.Errorf("Sender of %d bytes is %d, %d, want %d, %d", len(test.b), group, owner, test.group, test.owner)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	call, process := callBytes(nil, ""), processBytes("a\x00", "b\x00", "c\x00")
	for name, b := range map[string][]byte{
		"nothing":                         nil,
		"one byte":                        {Version},
		"other version":                   append([]byte{Version + 1}, call[1:]...),
		"unknown kind":                    append([]byte{Version, 9}, call[2:]...),
		"short call":                      call[:len(call)-1],
		"short process":                   process[:processSize-1],
		"process without its environment": process[:processSize+1],
		"process without its executable":  process[:processSize+3],
		"process without its cgroup":      process[:processSize+5],
		"process without its unit":        process[:processSize+7],
		"value beyond the end": callBytes(func(r *bpf.GetsockoptCallRecord) {
			r.Flags, r.ValueLength = uint32(FlagValue), 5
		}, "1234"),
		"address too long": callBytes(func(r *bpf.GetsockoptCallRecord) {
			r.Flags, r.Local.Length = uint32(FlagSocket), 17
		}, ""),
		"peer too long": callBytes(func(r *bpf.GetsockoptCallRecord) {
			r.Flags, r.Peer.Length = uint32(FlagSocket), 17
		}, ""),
		"unix without paths": callBytes(func(r *bpf.GetsockoptCallRecord) {
			r.Flags, r.Family = uint32(FlagSocket), 1
		}, "1234"),
	} {
		t.Run(name, func(t *testing.T) {
			var c Call
			var p Process
			if _, err := Decode(b, &c, &p); !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v, want one that wraps ErrMalformed", err)
			}
		})
	}
}

// The numbers that both sides must agree on stand in C; this reads them there.
func TestConstantsMatchHeader(t *testing.T) {
	header, err := os.ReadFile("../../bpf/records.h")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{
		"CALL_LENGTH_IN": int(FlagLengthIn), "CALL_LENGTH_OUT": int(FlagLengthOut), "CALL_VALUE": int(FlagValue),
		"CALL_VALUE_READ_ERROR": int(FlagValueReadError), "CALL_SOCKET": int(FlagSocket),
		"CALL_COMPAT": int(FlagCompat), "CALL_PENDING_ERROR": int(FlagPendingError), "CALL_NO_FD": int(FlagNoDescriptor),
		"PROCESS_ENVIRONMENT_UNAVAILABLE": environmentUnavailable, "PROCESS_CGROUP_CUT": cgroupCut, "PROCESS_ATTRIBUTES_CUT": attributesCut,
		"GROUP_FROM_EXECUTABLE": int(OriginExecutable), "GROUP_FROM_SERVICE_NAME": int(OriginServiceName),
		"GROUP_FROM_ATTRIBUTES": int(OriginAttributes), "GROUP_ENVIRONMENT_UNAVAILABLE": int(OriginEnvironmentUnavailable),
		"GROUP_NAME_PUBLISHED": int(OriginNamePublished), "GROUP_NAMESPACE_PUBLISHED": int(OriginNamespacePublished),
		"GROUP_INSTANCE_PUBLISHED": int(OriginInstancePublished), "GROUP_OF_CONTAINER": int(OriginContainer), "GROUP_OF_SERVICE": int(OriginService), "GROUP_FROM_UNIT": int(OriginSystemdUnit),
		"FALLBACK_UNIT": int(FallbackSystemdUnit), "FALLBACK_EXECUTABLE": int(FallbackExecutable), "GROUP_OF_PROCESS": int(OriginProcess), "GROUP_OF_HOST": int(OriginHost),
		"ENTRY_SYSCALL": int(EntrySyscall), "ENTRY_SYSCALL_COMPAT": int(EntrySyscallCompat),
		"ENTRY_SOCKETCALL": int(EntrySocketcall), "ENTRY_IO_URING": int(EntryIOUring),
		"RECORD_CALL": kindCall, "RECORD_PROCESS": kindProcess, "RECORD_VERSION": Version,
		"UNIX_PATH_LENGTH": unixPathSize, "GROUP_OVERFLOW": GroupOverflow,
	} {
		t.Run(name, func(t *testing.T) {
			m := regexp.MustCompile(`(?m)\b` + name + `\s*(?:=\s*)?(\d+)(?: << (\d+))?`).FindSubmatch(header)
			if m == nil {
				t.Errorf("%s is not in records.h", name)
				return
			}
			got, _ := strconv.Atoi(string(m[1]))
			shift, _ := strconv.Atoi(string(m[2]))
			if got<<shift != want {
				t.Errorf("%s is %d in C and %d in Go", name, got<<shift, want)
			}
		})
	}
}

// Any bytes decode to something within those bytes or to ErrMalformed.
func FuzzDecode(f *testing.F) {
	f.Add(callBytes(nil, ""))
	f.Add(callBytes(func(r *bpf.GetsockoptCallRecord) {
		r.Flags, r.Family, r.ValueLength, r.Local.Length = ^uint32(0), 1, 16, 108
	}, string(make([]byte, 300))))
	f.Add(processBytes("OTEL_SERVICE_NAME=a\x00", "curl\x00curl\x00bin\x00", "a\x00b\x00\x00"))
	f.Add(binary.NativeEndian.AppendUint64([]byte{Version, kindProcess}, rand.Uint64()))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c Call
		var p Process
		isCall, err := Decode(b, &c, &p)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error %v does not wrap ErrMalformed", err)
			}
			return
		}
		if isCall && len(c.Value)+len(c.Socket.Local.Address)+len(c.Socket.Peer.Address) > len(b) {
			t.Fatal("more bytes out than in")
		}
	})
}
