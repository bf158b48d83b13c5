// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"io"
	"maps"
	"os/exec"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// removeAll removes all series and groups that are not in use.
func removeAll(t *testing.T, p *Probe) (s record.Snapshot) {
	t.Helper()
	s = snapshot(t, p)
	var keys []record.SeriesKey
	for i := range s.Series {
		keys = append(keys, s.Series[i].SeriesKey)
	}
	if err := p.Remove(keys, slices.Collect(maps.Keys(s.Groups))); err != nil {
		t.Fatal(err)
	}
	return s
}

// overwritten starts a program that overwrites its environment after its first call. Another
// thread of it calls once its input ends.
func overwritten(t *testing.T, p *Probe) (*exec.Cmd, io.Closer) {
	t.Helper()
	c := caller.Command(t, "title:1", "OTEL_SERVICE_NAME=before")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for named := false; !named; {
		for _, g := range removeAll(t, p).Groups {
			named = named || g.Name == "before"
		}
	}
	return c, in
}

// callsAgain fails if the calls of the program do not all have its first name.
func callsAgain(t *testing.T, p *Probe, c *exec.Cmd, in io.Closer) {
	t.Helper()
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	s := removeAll(t, p)
	if named, overflow := callsByName(s); named["before"] != 2 || overflow != 0 {
		t.Errorf("calls %v, and %d in overflows, want 2 under the name", named, overflow)
	}
}

// A group that is silent keeps its place while its process lives, and with it the name,
// also if the environment was overwritten meanwhile. It has no place afterwards.
func TestLivingProcessesKeepTheirGroup(t *testing.T) {
	p := open(t, Options{Hook: HookAuto})
	c, in := overwritten(t, p)
	removeAll(t, p)
	if s := snapshot(t, p); s.SeriesEntries != 0 || s.GroupEntries != 1 {
		t.Errorf("%d series and %d groups, want only the group", s.SeriesEntries, s.GroupEntries)
	}
	callsAgain(t, p, c, in)
	removeAll(t, p)
	if s := snapshot(t, p); s.GroupEntries != 0 {
		t.Errorf("%d groups are left", s.GroupEntries)
	}
	checkAccounting(t, p)
}

// The table of processes evicts none that runs, however many come and go: they are forgotten
// before it is full.
func TestEndedProcessesEvictNoLivingOne(t *testing.T) {
	const rounds, ended, firstPID = 3, 6000, 1 << 22 // PID_MAX_LIMIT of include/linux/threads.h
	p := open(t, Options{Hook: HookAuto})
	c, in := overwritten(t, p)
	table := p.collection.Maps[bpf.GetsockoptMapProcesses]
	for round := range rounds {
		var pid uint32
		for i := range ended {
			pid = uint32(firstPID + round*ended + i)
			if err := table.Put(pid, &bpf.GetsockoptProcessEntry{Start: 1}); err != nil {
				t.Fatal(err)
			}
		}
		for {
			caller.Run(t, caller.Command(t, "loop:1")) // without calls nothing is looked at
			err := table.Lookup(pid, &bpf.GetsockoptProcessEntry{})
			if errors.Is(err, ebpf.ErrKeyNotExist) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	callsAgain(t, p, c, in)
	checkAccounting(t, p)
}
