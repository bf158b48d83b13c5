// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// lengthOfInt is the length of SO_TYPE's value, which io_uring returns.
const lengthOfInt = 4

// countEntries returns how many calls of SO_TYPE, and with which value, came
// through each entry point.
func countEntries(t *testing.T, calls []record.Call) map[record.Entry]int {
	t.Helper()
	counts := make(map[record.Entry]int)
	for _, c := range calls {
		if c.Level != unix.SOL_SOCKET || c.Option != unix.SO_TYPE {
			t.Errorf("through %s: call of (%d, %d), want SO_TYPE", c.Entry, c.Level, c.Option)
		}
		// The last registered file of a submission may be gone when its request is
		// seen to have ended.
		gone := c.Has(record.FlagNoDescriptor) && !c.Has(record.FlagSocket)
		value := binary.NativeEndian.AppendUint32(nil, unix.SOCK_STREAM)
		if !bytes.Equal(c.Value, value) || c.LengthIn != lengthOfInt || c.LengthOut != lengthOfInt || !gone && c.Socket.Family != unix.AF_INET {
			t.Errorf("through %s: value % x, length %d to %d, socket %+v, want % x of an IPv4 socket", c.Entry, c.Value, c.LengthIn, c.LengthOut, c.Socket, value)
		}
		if c.Duration == 0 || c.ThreadID == 0 || len(c.Comm) == 0 {
			t.Errorf("through %s: %+v", c.Entry, c)
		}
		counts[c.Entry]++
	}
	return counts
}

func countedEntries(s record.Snapshot, group uint32) map[record.Entry]uint64 {
	counts := make(map[record.Entry]uint64)
	for _, series := range seriesOf(s, group) {
		counts[series.Entry] += series.Count()
	}
	return counts
}

// Requests of io_uring are seen with every hook, also those that run on a kernel worker
// thread, and belong to the submitter.
func checkRequests(t *testing.T, p *Probe) {
	c := caller.Command(t, "iouring:20", "OTEL_SERVICE_NAME=rings")
	caller.Run(t, c)
	got := drain(t, p, c.Process.Pid)
	if n := countEntries(t, got.calls); n[record.EntryIOUring] != 20 || len(n) != 1 {
		t.Fatalf("entries %v, want 20 of io_uring", n)
	}
	for _, call := range got.calls {
		if call.Return != lengthOfInt {
			t.Errorf("returned %d, want the length", call.Return)
		}
	}
	s := snapshot(t, p)
	group := got.processes[got.calls[0].Process].Group
	if n := countedEntries(s, group); n[record.EntryIOUring] != 20 || s.Groups[group].Name != "rings" {
		t.Errorf("counted %v for %+v, want 20 of io_uring for rings", n, s.Groups[group])
	}
}

// Both entry points of 32-bit programs are observed, and no other call is taken for one.
// Where the kernel runs no such programs, no hook warns of their calls.
func checkCompat(t *testing.T, p *Probe) {
	if runtime.GOARCH != "amd64" {
		return // other architectures need a 32-bit program: test/kernels
	}
	possible := compatPossible()
	warned := slices.Contains(p.Uncovered(), record.EntrySyscallCompat) && slices.Contains(p.Uncovered(), record.EntrySocketcall) &&
		strings.Contains(fmt.Sprint(p.Degraded()), "32-bit")
	if warned != (possible && p.Hook() == HookTracepoint) {
		t.Errorf("32-bit programs run: %t; uncovered %v, degraded %v", possible, p.Uncovered(), p.Degraded())
	}
	c := caller.Command(t, "compat:20")
	if !possible {
		var exit *exec.ExitError
		if err := c.Run(); !errors.As(err, &exit) {
			t.Errorf("32-bit calls ended with %v, though the kernel runs no 32-bit programs", err)
		}
		return
	}
	caller.Run(t, c)
	got := countEntries(t, drain(t, p, c.Process.Pid).calls)
	want := map[record.Entry]int{record.EntrySyscallCompat: 20, record.EntrySocketcall: 20}
	if p.Hook() == HookTracepoint {
		want = nil // the kernel's syscalls tracepoints skip them
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("entries %v, want %v", got, want)
	}
}
