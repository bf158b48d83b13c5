// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/traces"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// recordToSpan is the way of one record from the ring's bytes to pdata, in batches
// of the receiver's size. Besides the time that passes it reports the CPU time,
// garbage collection included, which other programs on the host bend less.
func recordToSpan(b *testing.B) {
	const batch = 1024
	bytes := callOfTCP()
	builder := traces.New(traces.Options{ValuesEnabled: true, PendingErrorStatus: true})
	resource := &workload.Resource{Attributes: []workload.Attribute{
		{Key: "service.name", Str: "shop"}, {Key: "process.pid", Int: 4711, IsInt: true},
	}}
	var call record.Call
	b.ReportAllocs()
	begin := cpuTime(b)
	for b.Loop() {
		if isCall, err := record.Decode(bytes, &call, nil); err != nil || !isCall {
			b.Fatal(err)
		}
		builder.Add(&call, resource)
		if builder.Len() == batch {
			builder.Take()
		}
	}
	b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N), cpuPerOp)
}

// cpuPerOp is the unit of the CPU time.
const cpuPerOp = "cpu-ns/op"

// callOfTCP is a record as the kernel writes it: SO_RCVBUF of a connection.
func callOfTCP() []byte {
	const size = unsafe.Sizeof(bpf.GetsockoptCallRecord{})
	r := bpf.GetsockoptCallRecord{
		Header:      bpf.GetsockoptRecordHeader{Version: record.Version, Kind: 1, Group: 1},
		SocketState: 1,
		Flags:       uint32(record.FlagLengthIn | record.FlagLengthOut | record.FlagValue | record.FlagSocket),
		Start:       1_000_000, Duration: 900, Randomness: 1 << 55, SocketCookie: 123456,
		Tid: 4711, Cpu: 1, Fd: 7, Level: unix.SOL_SOCKET, Option: unix.SO_RCVBUF,
		LengthIn: 4, LengthOut: 4, NetworkNamespace: 4026531840,
		Family: unix.AF_INET, Type: unix.SOCK_STREAM, Protocol: unix.IPPROTO_TCP, ValueLength: 4,
	}
	r.Process.Start, r.Process.Pid, r.Process.ExecId = 1, 4711, 1
	r.Local.Address, r.Local.Port, r.Local.Length = [16]uint8{10, 0, 0, 7}, 40000, 4
	r.Peer.Address, r.Peer.Port, r.Peer.Length = [16]uint8{192, 0, 2, 1}, 443, 4
	for i, c := range "worker-3" {
		r.Comm[i] = int8(c)
	}
	record := (*[size]byte)(unsafe.Pointer(&r))[:]
	return append(append([]byte(nil), record...), 0, 0, 2, 0)
}

func cpuTime(b *testing.B) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
