// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// obi plays OpenTelemetry's eBPF instrumentation: its map, in a file system for BPF objects.
type obi struct {
	path string
	*ebpf.Map
}

func bpfFS(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "traces_ctx_v1")
}

func pin(t *testing.T, path string, spec ebpf.MapSpec) obi {
	t.Helper()
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	m, err := ebpf.NewMap(&spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if err := m.Pin(path); err != nil {
		t.Fatal(err)
	}
	return obi{path, m}
}

var obiSpec = ebpf.MapSpec{Type: ebpf.LRUHash, KeySize: 8, ValueSize: 24, MaxEntries: 1 << 14}

// begin makes a span active in the main thread of a process.
func (o obi) begin(t *testing.T, pid int, trace [16]byte, span [8]byte) {
	t.Helper()
	if err := o.Put(uint64(pid)<<32|uint64(pid), append(trace[:], span[:]...)); err != nil {
		t.Fatal(err)
	}
}

// plain is a program that publishes nothing itself.
type plain struct{ *harness.Worker }

func startPlain(t *testing.T, executable string) plain {
	t.Helper()
	w, err := harness.StartWorker(exec.Command(executable))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	return plain{w}
}

// call makes a call, and returns its parent.
func (p plain) call(t *testing.T, r *rig, option int32) record.Parent {
	t.Helper()
	if _, err := fmt.Fprintln(p.In, option); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	calls := r.take(t)[option]
	if len(calls) != 1 {
		t.Fatalf("%d calls of option %d, want 1", len(calls), option)
	}
	return calls[0].Parent
}

func find(t *testing.T, r *rig) {
	t.Helper()
	if err := r.FindOBI(); err != nil {
		t.Fatal(err)
	}
}

func TestOBI(t *testing.T) {
	executable := compile(t, "plain", "plain.c")
	path := bpfFS(t)
	r := watchWith(t, executable, probe.Options{OBIMap: path})
	p := startPlain(t, executable)
	want := func(option int32, want record.Parent) {
		t.Helper()
		if got := p.call(t, r, option); got != want {
			t.Errorf("option %d has the parent %+v, want %+v", option, got, want)
		}
	}
	none := record.Parent{}
	active := record.Parent{TraceID: [16]byte{1, 15: 2}, SpanID: [8]byte{3, 7: 4}, Source: record.SourceOBI}

	want(8001, none)
	o := pin(t, path, obiSpec)
	o.begin(t, p.PID(), active.TraceID, active.SpanID)
	find(t, r) // the map appeared while the probe runs
	want(8002, active)
	active.SpanID[0] = 5
	o.begin(t, p.PID(), active.TraceID, active.SpanID)
	want(8003, active)
	o.begin(t, p.PID(), [16]byte{}, active.SpanID)
	want(8004, none)
	if err := o.Delete(uint64(p.PID())<<32 | uint64(p.PID())); err != nil {
		t.Fatal(err)
	}
	want(8005, none)
	o.begin(t, p.PID()+1, active.TraceID, active.SpanID)
	want(8006, none)
	o.begin(t, p.PID(), active.TraceID, active.SpanID)
	want(8007, active)
	if err := o.Unpin(); err != nil {
		t.Fatal(err)
	}
	find(t, r)
	want(8008, none)
	another := pin(t, path, obiSpec)
	find(t, r)
	want(8009, none) // nothing is left of the first map
	another.begin(t, p.PID(), active.TraceID, active.SpanID)
	want(8010, active)
}

// A map of another shape is not used, and named.
func TestOtherMapsThanOBIs(t *testing.T) {
	executable := filepath.Join(t.TempDir(), "none")
	for name, spec := range map[string]ebpf.MapSpec{
		"value": {Type: ebpf.LRUHash, KeySize: 8, ValueSize: 32, MaxEntries: 16},
		"key":   {Type: ebpf.LRUHash, KeySize: 4, ValueSize: 24, MaxEntries: 16},
		"type":  {Type: ebpf.Hash, KeySize: 8, ValueSize: 24, MaxEntries: 16},
	} {
		t.Run(name, func(t *testing.T) {
			path := bpfFS(t)
			r := watchWith(t, executable, probe.Options{OBIMap: path})
			pin(t, path, spec)
			if err := r.FindOBI(); err == nil {
				t.Error("a map of another shape was taken for OBI's")
			}
		})
	}
}

// What a program publishes itself takes precedence.
func TestThreadContextBeforeOBI(t *testing.T) {
	executable := buildModel(t, "local exec")
	path := bpfFS(t)
	o := pin(t, path, obiSpec)
	r := watchWith(t, executable, probe.Options{OBIMap: path})
	find(t, r)
	p := start(t, exec.Command(executable, "9000"))
	pid := p.command.Process.Pid
	o.begin(t, pid, [16]byte{1}, [8]byte{1})
	r.awaitPublished(t, pid, record.ProcessKey{})
	p.proceed(t)
	sources := make(map[record.ParentSource]int)
	output, calls := p.finish(t), r.take(t)
	for _, line := range parse(t, output) {
		got := calls[line.option][0].Parent.Source
		if (line.spanID != noSpan) != (got == record.SourceThreadContext) {
			t.Errorf("option %d has a parent from %s, and its program has %s", line.option, got, line.spanID)
		}
		sources[got]++
	}
	// Only where the context is not valid, and not in error, OBI's span is the parent.
	if sources[record.SourceOBI] != 7 {
		t.Errorf("sources %v, want 7 parents from OBI", sources)
	}
}
