// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// owner runs the commands that it is given in a cgroup of its own.
func owner(t *testing.T, name string) func(*exec.Cmd) *exec.Cmd {
	t.Helper()
	cgroup := caller.Cgroup(t, "getsockopt-places/"+name+".service")
	return func(c *exec.Cmd) *exec.Cmd {
		caller.Enter(t, c, cgroup)
		return c
	}
}

// What one owner does, in any way, costs a newcomer of another neither its name nor its
// series, while it lasts and afterwards.
func TestNewcomersHaveTheirPlaceAtOnce(t *testing.T) {
	for name, flood := range map[string]func(t *testing.T, in func(*exec.Cmd) *exec.Cmd){
		"invented options": func(t *testing.T, in func(*exec.Cmd) *exec.Cmd) {
			caller.Run(t, in(caller.Command(t, "options:5000", "OTEL_SERVICE_NAME=flood")))
		},
		"failures of all options": func(t *testing.T, in func(*exec.Cmd) *exec.Cmd) {
			caller.Run(t, in(caller.Command(t, "fail:2", "OTEL_SERVICE_NAME=flood")))
		},
		"invented services": func(t *testing.T, in func(*exec.Cmd) *exec.Cmd) {
			for i := range 250 {
				caller.Run(t, in(caller.Command(t, "loop:10", fmt.Sprintf("OTEL_SERVICE_NAME=flood-%d", i))))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, Options{Hook: HookAuto, SeriesLimit: 500, GroupLimit: 200})
			attacker, victim := owner(t, "flood"), owner(t, "newcomer")
			var wg sync.WaitGroup
			wg.Go(func() { flood(t, attacker) })
			done := make(chan struct{})
			go func() {
				wg.Wait()
				close(done)
			}()
			const during, after = 15, 5
			for i := range during + after {
				if i == during {
					<-done
				}
				service := fmt.Sprintf("newcomer-%d", i)
				caller.Run(t, victim(caller.Command(t, "loop:10", "OTEL_SERVICE_NAME="+service)))
				own, series := uint64(0), 0
				s := snapshot(t, p)
				for _, one := range s.Series {
					if s.Groups[one.Group].Name == service && !one.Overflow {
						own += one.Count()
						series++
					}
				}
				if own != 10 || series != 2 {
					t.Errorf("newcomer %d: %d calls in %d series, want 10 in 2 (%d series and %d groups are in use)", i, own, series, s.SeriesEntries, s.GroupEntries)
				}
			}
			checkAccounting(t, p)
		})
	}
}

// Services that come and go one after the other: each has its name, and each call is
// counted once, in far fewer places than there are services.
func TestServicesOneAfterTheOther(t *testing.T) {
	const limit = 60
	services := 10 * limit
	if testing.Short() { // under emulation
		services = 3 * limit
	}
	p := open(t, Options{Hook: HookAuto, SeriesLimit: 4 * limit, GroupLimit: limit})
	calls := make(map[string]uint64)
	for i := range services {
		caller.Run(t, caller.Command(t, "loop:10", fmt.Sprintf("OTEL_SERVICE_NAME=turn-%d", i)))
		if i%20 == 19 {
			s := removeKnown(t, p)
			for i := range s.Series {
				calls[s.Groups[s.Series[i].Group].Name] += s.Series[i].Count()
			}
		}
	}
	for i := range services {
		if n := calls[fmt.Sprintf("turn-%d", i)]; n != 10 {
			t.Errorf("service %d: %d calls counted, want 10", i, n)
		}
	}
	if s := snapshot(t, p); s.GroupEntries != 0 || s.SeriesEntries != 0 || len(p.places.samplers) != 0 {
		t.Errorf("%d groups and %d series are left", s.GroupEntries, s.SeriesEntries)
	}
	checkAccounting(t, p)
}

func callsByName(s record.Snapshot) (named map[string]uint64, overflow uint64) {
	named = make(map[string]uint64)
	for i := range s.Series {
		if series := &s.Series[i]; series.Overflow {
			overflow += series.Count()
		} else {
			named[s.Groups[series.Group].Name] += series.Count()
		}
	}
	return named, overflow
}

// A process that found no group gets one when there is one again.
func TestProcessesGetTheirNameWhenThereIsPlace(t *testing.T) {
	p := open(t, Options{Hook: HookAuto, GroupLimit: 2})
	var waiting []*exec.Cmd
	for i := range 6 {
		c := caller.Command(t, "loop:2000000000", fmt.Sprintf("OTEL_SERVICE_NAME=queue-%d", i))
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = c.Process.Kill() // it may be gone by now
			_ = c.Wait()
		})
		waiting = append(waiting, c)
	}
	last := "queue-5"
	for _, c := range waiting[:5] {
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
	}
	for range 1000 {
		removeKnown(t, p)
		if named, _ := callsByName(snapshot(t, p)); named[last] > 0 {
			return
		}
	}
	t.Error("it is still counted without its name")
}

func seriesKeys(s record.Snapshot) map[record.SeriesKey]bool {
	keys := make(map[record.SeriesKey]bool)
	for i := range s.Series {
		keys[s.Series[i].SeriesKey] = true
	}
	return keys
}

// Processes that come and go leave nothing when each is a group: they are reported as
// ended, and nothing of them is left once they are removed.
func TestEndedProcessesLeaveNothing(t *testing.T) {
	p := open(t, Options{Hook: HookAuto, GroupBy: GroupByService | GroupByProcess, GroupLimit: 40, SeriesLimit: 160})
	const rounds, each = 10, 15
	made := make(map[uint32]bool)
	for range rounds {
		for range each {
			c := caller.Command(t, "loop:10", "OTEL_SERVICE_NAME=gone")
			caller.Run(t, c)
			made[uint32(c.Process.Pid)] = true
		}
		s := snapshot(t, p)
		if len(s.EndedGroups) != each || s.GroupEntries != each {
			t.Errorf("%d of %d groups are reported as ended, want %d", len(s.EndedGroups), s.GroupEntries, each)
		}
		if err := p.Remove(slices.Collect(maps.Keys(seriesKeys(s))), s.EndedGroups); err != nil {
			t.Fatal(err)
		}
	}
	s := snapshot(t, p)
	if named, overflow := callsByName(s); named["gone"] != rounds*each*10 || overflow != 0 || s.GroupEntries != 0 || s.SeriesEntries != 0 {
		t.Errorf("calls %v, %d in overflows, %d groups and %d series are left", named, overflow, s.GroupEntries, s.SeriesEntries)
	}
	pids, _, err := readAll[uint32, bpf.GetsockoptProcessEntry](p.places.maps[bpf.GetsockoptMapProcesses])
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if made[pid] {
			t.Errorf("process %d is remembered", pid)
		}
	}
	checkAccounting(t, p)
}
