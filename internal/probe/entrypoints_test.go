// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/caller"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// countEntries returns how many calls of SO_TYPE, and with which value, came
// through each door.
func countEntries(t *testing.T, calls []record.Call) map[record.Entry]int {
	t.Helper()
	counts := make(map[record.Entry]int)
	for _, c := range calls {
		if c.Level != 1 || c.Option != 3 {
			t.Errorf("call of (%d, %d) through %s", c.Level, c.Option, c.Entry)
		}
		// The last registered file of a submission may be gone when its request is
		// seen to have ended.
		gone := c.Has(record.FlagNoDescriptor) && !c.Has(record.FlagSocket)
		if string(c.Value) != "\x01\x00\x00\x00" || c.LengthIn != 4 || c.LengthOut != 4 || !gone && c.Socket.Family != 2 {
			t.Errorf("through %s: value % x, length %d to %d, socket %+v", c.Entry, c.Value, c.LengthIn, c.LengthOut, c.Socket)
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

// io_uring is seen beside every hook, also when the request runs on a kernel
// worker thread, and is the submitter's.
func TestIOUring(t *testing.T) {
	u, err := findIOUring()
	if err != nil {
		t.Fatal(err)
	}
	if !u.possible {
		if kernelAtLeast(6, 7) {
			t.Fatal("this kernel should have getsockopt in io_uring")
		}
		return // before 6.7 there is nothing to see
	}
	for _, hook := range working(t) {
		t.Run(hook, func(t *testing.T) {
			p := open(t, spans(hook))
			c := caller.Command(t, "iouring:20", "OTEL_SERVICE_NAME=rings")
			caller.Run(t, c)
			got := drain(t, p, c.Process.Pid)
			if n := countEntries(t, got.calls); n[record.EntryIOUring] != 20 || len(n) != 1 {
				t.Fatalf("entries %v, want 20 of io_uring", n)
			}
			for _, call := range got.calls {
				if call.Return != 4 {
					t.Errorf("returned %d, want the length", call.Return)
				}
			}
			s := snapshot(t, p)
			group := got.processes[got.calls[0].Process].Group
			if n := countedEntries(s, group); n[record.EntryIOUring] != 20 || s.Groups[group].Name != "rings" {
				t.Errorf("counted %v for %+v", n, s.Groups[group])
			}
			checkAccounting(t, p)
		})
	}
}

// Both entryPoints of 32-bit programs, and nothing that looks like them. Where the kernel
// runs no such programs, no hook warns of their calls.
func TestCompat(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		return // other architectures need a 32-bit program: test/kernels
	}
	possible := compatPossible()
	for _, hook := range working(t) {
		t.Run(hook, func(t *testing.T) {
			p := open(t, spans(hook))
			warned := slices.Contains(p.Uncovered(), record.EntrySyscallCompat) && slices.Contains(p.Uncovered(), record.EntrySocketcall) &&
				strings.Contains(fmt.Sprint(p.Degraded()), "32-bit")
			if warned != (possible && hook == HookTracepoint) {
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
			if hook == HookTracepoint {
				want = nil // the kernel's syscalls tracepoints skip them
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("entries %v, want %v", got, want)
			}
			checkAccounting(t, p)
		})
	}
}
