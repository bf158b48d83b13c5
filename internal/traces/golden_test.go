// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// TestGolden is a batch as a reader of docs/semantics.md would expect it: a
// client in a container asks why its connection failed, a kernel worker reads
// a buffer size for io_uring, and a program passes a file for a socket.
func TestGolden(t *testing.T) {
	const container = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
	boot := time.Unix(1_700_000_000, 0)
	client := workload.FromProcess(&record.Process{
		Key:            record.ProcessKey{Start: 60_000_000_000, PID: 4711},
		ParentPID:      4700,
		NamespacePID:   1,
		UID:            1000,
		RealUID:        1000,
		PIDNamespace:   4026532201,
		MountNamespace: 4026532202,
		NetNamespace:   4026532203,
		Comm:           "client",
		ExecutableName: "client",
		ExecutablePath: "/usr/local/bin/client",
		ContainerID:    container,
		Environment:    []string{"OTEL_RESOURCE_ATTRIBUTES=service.name=cart,service.namespace=shop,service.instance.id=7"},
	}, boot, "0::/system.slice/docker-"+container+".scope", []record.NameFallback{record.FallbackExecutable})
	server := workload.FromProcess(&record.Process{
		Key:            record.ProcessKey{Start: 61_500_000_000, PID: 80},
		ParentPID:      1,
		NamespacePID:   80,
		ExecutableName: "server",
		ExecutablePath: "/usr/sbin/server",
	}, boot, "", []record.NameFallback{record.FallbackExecutable})

	b := New(Options{Version: "1.2.3", ValuesEnabled: true, PendingErrorStatus: true})
	b.ids = ids{random: rand.NewChaCha8([32]byte{})}
	b.SetClock(1_700_000_000_000_000_000)
	b.Add(&record.Call{
		Process:    record.ProcessKey{Start: 60_000_000_000, PID: 4711},
		Flags:      record.FlagLengthIn | record.FlagLengthOut | record.FlagValue | record.FlagSocket | record.FlagPendingError,
		Start:      100_000_000_000,
		Duration:   1500,
		Randomness: 0xfedcba98765432,
		Threshold:  0xe6666666666666,
		ThreadID:   4713,
		CPU:        3,
		FD:         9,
		Level:      unix.SOL_SOCKET,
		Option:     unix.SO_ERROR,
		LengthIn:   4,
		LengthOut:  4,
		Error:      int32(unix.ECONNREFUSED),
		Comm:       []byte("client-io"),
		Value:      []byte{byte(unix.ECONNREFUSED), 0, 0, 0},
		Socket: record.Socket{
			Family: unix.AF_INET, Type: unix.SOCK_STREAM, Protocol: unix.IPPROTO_TCP, State: unix.BPF_TCP_CLOSE, NetNS: 4026532203, Cookie: 12345,
			Local: record.Endpoint{Address: ip("172.17.0.2"), Port: 40000},
			Peer:  record.Endpoint{Address: ip("10.0.0.7"), Port: 5432},
		},
	}, client)
	b.Add(&record.Call{
		Process:    record.ProcessKey{Start: 61_500_000_000, PID: 80},
		Flags:      record.FlagValue | record.FlagSocket | record.FlagNoDescriptor,
		Entry:      record.EntryIOUring,
		Start:      100_000_002_000,
		Duration:   700,
		Randomness: 1,
		ThreadID:   81,
		Level:      unix.SOL_SOCKET,
		Option:     unix.SO_SNDBUF,
		Return:     4,
		Comm:       []byte("iou-wrk-80"),
		Value:      []byte{0, 0, 2, 0},
		Socket: record.Socket{
			Family: unix.AF_UNIX, Type: unix.SOCK_STREAM, State: unix.BPF_TCP_ESTABLISHED, NetNS: 4026531840,
			Local: record.Endpoint{Address: []byte("/run/server.sock")},
		},
	}, server)
	b.Add(&record.Call{
		Process:    record.ProcessKey{Start: 60_000_000_000, PID: 4711},
		Flags:      record.FlagLengthIn | record.FlagLengthOut,
		Start:      100_000_004_000,
		Duration:   300,
		Randomness: 1<<56 - 1,
		Threshold:  0x80000000000000,
		ThreadID:   4711,
		FD:         2,
		Level:      unix.SOL_TCP,
		Option:     unix.TCP_INFO,
		Return:     -int32(unix.ENOTSOCK),
		LengthIn:   280,
		LengthOut:  280,
		Comm:       []byte("client"),
	}, client)

	out, err := (&ptrace.JSONMarshaler{}).MarshalTraces(b.Take())
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := json.Indent(&got, out, "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	path := filepath.Join("testdata", "batch.json")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s differs from\n%s", path, got.String())
	}
}
