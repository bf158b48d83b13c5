// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// witnesses are options of SOL_SOCKET that can always be read: the service that calls
// one is known from the option, whatever its calls are counted under.
var witnesses = []int{
	unix.SO_TYPE, unix.SO_DEBUG, unix.SO_REUSEADDR, unix.SO_DONTROUTE, unix.SO_BROADCAST, unix.SO_SNDBUF,
	unix.SO_RCVBUF, unix.SO_KEEPALIVE, unix.SO_OOBINLINE, unix.SO_PRIORITY, unix.SO_REUSEPORT, unix.SO_RCVLOWAT,
}

func witness(i int) (script, service string) {
	i %= len(witnesses)
	return fmt.Sprintf("option %d", witnesses[i]), serviceOf(int32(witnesses[i]))
}

func serviceOf(option int32) string { return fmt.Sprintf("witness-%d", option) }

// callWhile runs processes of all witnesses, some that stay and some that come and go,
// while something disturbs. It returns the calls of each service.
func callWhile(t *testing.T, disturb func()) map[string]uint64 {
	t.Helper()
	const staying = 6
	each, coming, execs, rings := 60_000, 150, 99, 100
	if testing.Short() { // under emulation
		each, coming, execs, rings = 6_000, 50, 19, 20
	}
	made := make(map[string]uint64)
	var mu sync.Mutex
	call := func(i, n int) {
		script, service := witness(i)
		c := caller.Command(t, fmt.Sprintf("%s:%d", script, n), "OTEL_SERVICE_NAME="+service)
		if output, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, output)
		}
		mu.Lock()
		defer mu.Unlock()
		made[service] += uint64(4 * n)
	}
	var wg sync.WaitGroup
	for i := range staying {
		wg.Go(func() { call(i, each) })
	}
	wg.Go(func() {
		for i := range coming {
			call(i, 50)
		}
	})
	wg.Go(func() {
		c := caller.Command(t, fmt.Sprintf("exec %d:%d", unix.SO_TYPE, execs), "OTEL_SERVICE_NAME="+serviceOf(unix.SO_TYPE))
		if output, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, output)
		}
		mu.Lock()
		defer mu.Unlock()
		made[serviceOf(unix.SO_TYPE)] += uint64(execs+1) / 2 * caller.ExecCalls
		made[serviceOf(unix.SO_DEBUG)] += uint64(execs+1) / 2 * caller.ExecCalls
	})
	if uringPossible(t) {
		wg.Go(func() {
			const each = 40
			for range rings {
				c := caller.Command(t, fmt.Sprintf("iouring async:%d", each), "OTEL_SERVICE_NAME="+serviceOf(unix.SO_TYPE))
				if output, err := c.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, output)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			made[serviceOf(unix.SO_TYPE)] += uint64(rings * each)
		})
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	for {
		disturb()
		select {
		case <-done:
			return made
		default:
		}
	}
}

// checkWitnesses fails if a call is counted under another service than its own. It
// returns the calls that are counted under each, and those in overflows.
func checkWitnesses(t *testing.T, s record.Snapshot) (named map[string]uint64, overflow uint64) {
	t.Helper()
	named = make(map[string]uint64)
	for i := range s.Series {
		series := &s.Series[i]
		name := s.Groups[series.Group].Name
		switch {
		case series.Overflow:
			overflow += series.Count()
			if series.Group != record.GroupOverflow {
				named[name] += series.Count()
			}
		case name != serviceOf(series.Option):
			t.Errorf("%d calls of option %d are counted under %q", series.Count(), series.Option, name)
		default:
			named[name] += series.Count()
		}
	}
	return named, overflow
}

func total64(of map[string]uint64) (sum uint64) {
	for _, n := range of {
		sum += n
	}
	return sum
}

// missesReturns reports whether a hook may miss returns. The kernel has as few instances of
// a kretprobe as CPUs, where it is not preemptible, and a task that waits for a CPU inside a
// call keeps one (Documentation/trace/kprobes.rst, maxactive). The next call of its thread
// counts the call as no_exit; a thread that ends has none.
func missesReturns(hook string) bool { return hook == HookKprobe }

// Whatever is removed at any moment: each call is counted once, under its own name.
func TestRemovalLosesNoCall(t *testing.T) {
	for _, hook := range working(t) {
		t.Run(hook, func(t *testing.T) {
			p := open(t, Options{Hook: hook})
			removals := 0
			made := callWhile(t, func() {
				s, err := p.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				addTotal(t, p, &s)
				var keys []record.SeriesKey
				var groups []uint32
				p.mu.Lock()
				for i := range p.places.slots {
					if slot := &p.places.slots[i]; slot.used {
						keys = append(keys, slot.key)
					}
				}
				p.mu.Unlock()
				for id := range s.Groups {
					groups = append(groups, id)
				}
				if err := p.Remove(keys, groups); err != nil {
					t.Fatal(err)
				}
				removals++
			})
			named, overflow := checkWitnesses(t, snapshot(t, p))
			for service, n := range made {
				if named[service] != n && !(missesReturns(hook) && named[service] < n) {
					t.Errorf("%s: %d calls counted, %d made", service, named[service], n)
				}
			}
			if overflow != 0 {
				t.Errorf("%d calls in overflows", overflow)
			}
			var generations uint32
			for i := range p.places.tables.groups {
				generations += p.places.tables.groups[i].Number >> groupIndexBits
			}
			if generations == 0 || removals == 0 {
				t.Errorf("%d groups freed in %d rounds, so nothing was tested", generations, removals)
			}
			t.Logf("%d groups freed in %d rounds", generations, removals)
			if !missesReturns(hook) {
				checkAccounting(t, p)
			}
		})
	}
}

// Places are taken from series and groups that are in use: calls go to the overflow
// meanwhile, never to another name.
func TestEvictionLosesNoCall(t *testing.T) {
	for _, hook := range working(t) {
		t.Run(hook, func(t *testing.T) {
			p := open(t, Options{Hook: hook})
			evictions := 0
			made := callWhile(t, func() {
				if rand.IntN(2) == 0 { // what was never in a snapshot loses its name
					snapshot(t, p)
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				if err := p.places.look(0); err != nil {
					t.Fatal(err)
				}
				var ids, indices []uint32
				for i := range p.places.slots {
					if p.places.slots[i].used && rand.IntN(2) == 0 {
						ids = append(ids, uint32(i))
					}
				}
				for i := range p.places.groups {
					if p.places.groups[i].known && rand.IntN(4) == 0 {
						indices = append(indices, uint32(i))
					}
				}
				if err := p.places.freeSlots(ids, true); err != nil {
					t.Fatal(err)
				}
				if err := p.places.freeGroups(indices, true); err != nil {
					t.Fatal(err)
				}
				evictions += len(indices)
			})
			s := snapshot(t, p)
			named, overflow := checkWitnesses(t, s)
			for service, n := range made {
				if named[service] > n {
					t.Errorf("%s: %d calls counted, %d made", service, named[service], n)
				}
			}
			if got, want := counted(s), total64(made); got != want && !(missesReturns(hook) && got < want) {
				t.Errorf("%d calls counted, %d made", got, want)
			}
			if evictions == 0 || total64(named) == 0 {
				t.Errorf("%d groups freed, %d calls under their names", evictions, total64(named))
			}
			t.Logf("%d groups freed, %d of %d calls in overflows", evictions, overflow, counted(s))
			if !missesReturns(hook) {
				checkAccounting(t, p)
			}
		})
	}
}

// freeAll takes the places of all groups, and of their series.
func freeAll(t *testing.T, p *Probe) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.places.look(0); err != nil {
		t.Fatal(err)
	}
	var indices []uint32
	for i := range p.places.groups {
		if p.places.groups[i].known {
			indices = append(indices, uint32(i))
		}
	}
	if len(indices) == 0 {
		t.Error("no group is known, so nothing is tested")
	}
	if err := p.places.freeGroups(indices, true); err != nil {
		t.Fatal(err)
	}
}

// A call, or a request, that is under way while its group is given to others counts under
// none of their names, and its program has its own name again afterwards.
func TestCallUnderWayWhileItsGroupIsFreed(t *testing.T) {
	const calls, groups, rounds = 5, 3, 3
	for _, script := range []string{"blocked", "late"} {
		if script == "late" && !uringPossible(t) {
			continue
		}
		for _, hook := range working(t) {
			t.Run(script+"/"+hook, func(t *testing.T) {
				p := open(t, Options{Hook: hook, GroupLimit: groups})
				want := map[string]uint64{"first": 2 * calls}
				var unnamed uint64 = 1
				switch {
				case script == "late" && functionsTraced(hook): // they are seen when they run
					want["first"], unnamed = calls, 0
				case script == "late":
					want, unnamed = map[string]uint64{}, calls
				}
				end := holder(t, caller.Command(t, fmt.Sprintf("%s:%d", script, calls), "OTEL_SERVICE_NAME=first"))
				snapshot(t, p)
				for range rounds {
					for i := range groups {
						freeAll(t, p)
						caller.Run(t, caller.Command(t, "loop:10", fmt.Sprintf("OTEL_SERVICE_NAME=other-%d", i)))
						unnamed += 10 // no snapshot has their names
					}
				}
				freeAll(t, p)
				for i := range groups - 1 {
					service := fmt.Sprintf("last-%d", i)
					caller.Run(t, caller.Command(t, "loop:10", "OTEL_SERVICE_NAME="+service))
					want[service] = 10
				}
				end()
				named, overflow := callsByName(snapshot(t, p))
				if !maps.Equal(named, want) || overflow != unnamed {
					t.Errorf("calls %v, and %d in overflows, want %v and %d", named, overflow, want, unnamed)
				}
				checkAccounting(t, p)
			})
		}
	}
}

// A series that loses its place before metrics knew it leaves its calls to the overflow of
// its group. Only if the group is gone as well they have no name.
func TestSeriesOfANewGroupLeaveTheirName(t *testing.T) {
	for name, freed := range map[string]bool{"group stays": false, "group is gone": true} {
		t.Run(name, func(t *testing.T) {
			p := open(t, Options{})
			script, service := witness(0)
			caller.Run(t, caller.Command(t, script+":10", "OTEL_SERVICE_NAME="+service))
			p.mu.Lock()
			defer p.mu.Unlock()
			if err := p.places.look(0); err != nil {
				t.Fatal(err)
			}
			var ids, indices []uint32
			for i := range p.places.slots {
				if p.places.slots[i].used {
					ids = append(ids, uint32(i))
				}
			}
			for i := range p.places.groups {
				if p.places.groups[i].known {
					indices = append(indices, uint32(i))
				}
			}
			if err := p.places.freeSlots(ids, true); err != nil {
				t.Fatal(err)
			}
			want := map[string]uint64{service: 40}
			if freed {
				if err := p.places.freeGroups(indices, true); err != nil {
					t.Fatal(err)
				}
				want = map[string]uint64{}
			}
			p.places.takeAll()
			var s record.Snapshot
			p.places.deliver(&s)
			if named, overflow := checkWitnesses(t, s); named[service] != want[service] || overflow < 40 {
				t.Errorf("%v have a name, %d are in overflows; want %v of 40", named, overflow, want)
			}
		})
	}
}

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
	const services, limit = 600, 60
	p := open(t, Options{Hook: HookAuto, SeriesLimit: 4 * limit, GroupLimit: limit})
	calls := make(map[string]uint64)
	expire := func() {
		s, err := p.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		addTotal(t, p, &s)
		var keys []record.SeriesKey
		var groups []uint32
		for i := range s.Series {
			keys = append(keys, s.Series[i].SeriesKey)
			calls[s.Groups[s.Series[i].Group].Name] += s.Series[i].Count()
		}
		for id := range s.Groups {
			groups = append(groups, id)
		}
		if err := p.Remove(keys, groups); err != nil {
			t.Fatal(err)
		}
	}
	for i := range services {
		caller.Run(t, caller.Command(t, "loop:10", fmt.Sprintf("OTEL_SERVICE_NAME=turn-%d", i)))
		if i%20 == 19 {
			expire()
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
		s := snapshot(t, p)
		if named, _ := callsByName(s); named[last] > 0 {
			return
		}
		if err := p.Remove(slices.Collect(maps.Keys(seriesKeys(s))), slices.Collect(maps.Keys(s.Groups))); err != nil {
			t.Fatal(err)
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
