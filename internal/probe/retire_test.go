// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

func clockNow(t *testing.T, clock int32) uint64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(clock, &now); err != nil {
		t.Fatal(err)
	}
	return uint64(now.Nano())
}

// untilCounted starts a process that calls until it is killed, and waits until
// it has called.
func untilCounted(t *testing.T, p *Probe, service string) (*exec.Cmd, record.Group) {
	t.Helper()
	c := caller.Command(t, "loop:2000000000", "OTEL_SERVICE_NAME="+service)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // it may be gone by now
		_ = c.Wait()
	})
	for range 1000 {
		for _, g := range snapshot(t, p).Groups {
			if g.Name == service && g.Origin&record.OriginProcess != 0 {
				return c, g
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("process %d was never counted", c.Process.Pid)
	return nil, record.Group{}
}

// callsOf returns the number of calls of a service, with and without a process.
func callsOf(s record.Snapshot, service string) (running, gone uint64) {
	for i := range s.Series {
		g := s.Groups[s.Series[i].Group]
		switch {
		case g.Name != service:
		case g.Origin&record.OriginProcess != 0:
			running += s.Series[i].Count()
		default:
			gone += s.Series[i].Count()
		}
	}
	return running, gone
}

// A process is counted for itself while it runs, and for its service from when
// it has ended, whether or not its parent has looked.
func TestEndedProcessesFoldIntoTheirService(t *testing.T) {
	p := open(t, Options{Hook: HookAuto, GroupBy: GroupByProcess})
	for range 20 {
		caller.Run(t, caller.Command(t, "loop:10", "OTEL_SERVICE_NAME=brief"))
	}
	before := clockNow(t, unix.CLOCK_BOOTTIME)
	daemon, group := untilCounted(t, p, "daemon")
	if after := clockNow(t, unix.CLOCK_BOOTTIME); group.Process.Start < before || group.Process.Start > after {
		t.Errorf("the process began at %d, want a time from %d to %d", group.Process.Start, before, after)
	}
	if running, gone := callsOf(snapshot(t, p), "brief"); running != 0 || gone != 200 {
		t.Errorf("%d calls are counted for processes and %d for the service they were of, want 0 and 200", running, gone)
	}
	if running, gone := callsOf(snapshot(t, p), "daemon"); running == 0 || gone != 0 {
		t.Errorf("%d calls are counted for the process that runs and %d for its service, want all for the process", running, gone)
	}

	if err := daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var ended unix.Siginfo
	if err := unix.Waitid(unix.P_PID, daemon.Process.Pid, &ended, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if running, gone := callsOf(snapshot(t, p), "daemon"); running != 0 || gone == 0 {
		t.Errorf("%d calls are counted for the process that has ended and %d for its service, want all for the service", running, gone)
	}
	_ = daemon.Wait() // it was killed, which is an error here
	checkAccounting(t, p)
}

// A process may have been freed when the kernel is asked for it, and its pid reused.
func TestReusedProcessKeysAreNotRunning(t *testing.T) {
	p := open(t, Options{Hook: HookAuto, GroupBy: GroupByProcess})
	_, group := untilCounted(t, p, "runs")
	key := p.groupKeys[group.ID]
	reused, wild := key, key
	reused.Process.Start++
	wild.PidStruct = 1 << 50
	for name, test := range map[string]struct {
		key  bpf.GetsockoptGroupKey
		want bool
	}{
		"running":          {key, true},
		"reused task":      {reused, false},
		"unmapped address": {wild, false},
		"no address":       {bpf.GetsockoptGroupKey{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if running, err := p.retired.running(&test.key); err != nil || running != test.want {
				t.Errorf("%+v: running %t, %v, want %t", test.key.Process, running, err, test.want)
			}
		})
	}
}

// Times that leave the probe are those that this process reads itself.
func TestTimesAreOfTheReceiversClocks(t *testing.T) {
	p := open(t, spans(HookAuto))
	p.clocks.monotonic += 1 << 40
	p.clocks.boottime -= 1 << 62 // below the clock's zero
	var before, after [2]uint64
	before = [2]uint64{clockNow(t, unix.CLOCK_MONOTONIC), clockNow(t, unix.CLOCK_BOOTTIME)}
	c := caller.Command(t, "loop:1")
	caller.Run(t, c)
	after = [2]uint64{clockNow(t, unix.CLOCK_MONOTONIC), clockNow(t, unix.CLOCK_BOOTTIME)}
	all := drain(t, p, 0)
	if len(all.calls) != 1 || len(all.processes) != 1 {
		t.Fatalf("%d calls of %d processes, want one", len(all.calls), len(all.processes))
	}
	call := all.calls[0]
	if start := call.Start - 1<<40; start < before[0] || start > after[0] {
		t.Errorf("the call began at %d, want a time from %d to %d", start, before[0], after[0])
	}
	if start := call.Process.Start + 1<<62; start < before[1] || start > after[1] {
		t.Errorf("the process began at %d, want a time from %d to %d", start, before[1], after[1])
	}
	if _, known := all.processes[call.Process]; !known {
		t.Errorf("the call is of %+v, described are %+v", call.Process, all.processes)
	}
}
