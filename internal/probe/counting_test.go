// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/selection"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

func kernelAtLeast(major, minor int) bool { return atLeast(kernelRelease(), major, minor) }

func counted(s record.Snapshot) (calls uint64) {
	for i := range s.Series {
		calls += s.Series[i].Count()
	}
	return calls
}

// checkAccounting holds the counters to the two equations, at rest: other programs
// of the host call too, so the probe is detached first.
func checkAccounting(t *testing.T, p *Probe) {
	t.Helper()
	if err := p.Detach(); err != nil {
		t.Fatal(err)
	}
	s := snapshot(t, p)
	c := s.Counters
	uncounted := c.Uncounted()
	if p.options.Spans && c.Seen != c.Filtered+uncounted+c.SampledOut+c.Submitted+c.RingFull {
		t.Errorf("spans do not add up: %+v", c)
	}
	if c.Seen != c.Filtered+uncounted+counted(s) {
		t.Errorf("metrics do not add up: %d counted, %+v", counted(s), c)
	}
	if c.Kept != c.Submitted+c.RingFull {
		t.Errorf("kept calls do not add up: %+v", c)
	}
}

// Thousands of processes of one service: one group, and every call in it.
func TestShortLivedProcesses(t *testing.T) {
	processes := 2000
	if testing.Short() { // under emulation
		processes = 200
	}
	p := open(t, Options{Hook: HookAuto})
	before := counted(snapshot(t, p))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range processes / 2 {
				caller.Run(t, caller.Command(t, "loop:1", "OTEL_SERVICE_NAME=brief"))
			}
		})
	}
	wg.Wait()
	s := snapshot(t, p)
	var own uint64
	for _, series := range s.Series {
		if s.Groups[series.Group].Name == "brief" {
			own += series.Count()
		}
	}
	if own != uint64(processes) {
		t.Errorf("%d calls counted for the service, want %d (%d in all)", own, processes, counted(s)-before)
	}
	checkAccounting(t, p)
}

// Totals agree however calls are grouped.
func TestTotalsAgreeUnderEachGrouping(t *testing.T) {
	for groupBy, want := range map[GroupBy]int{
		GroupByService: 2, GroupByProcess: 4, GroupByHost: 1, GroupByContainer: 1, GroupBySystemdUnit: 1,
		GroupByService | GroupByContainer: 2, GroupByContainer | GroupBySystemdUnit: 1, GroupByContainer | GroupByProcess: 4,
		GroupByService | GroupByContainer | GroupBySystemdUnit | GroupByProcess: 4,
	} {
		t.Run(fmt.Sprintf("%b", groupBy), func(t *testing.T) {
			p := open(t, Options{Hook: HookAuto, GroupBy: groupBy})
			pids := make(map[uint32]bool)
			for _, name := range []string{"a", "a", "b", "b"} {
				c := caller.Command(t, "loop:100", "OTEL_SERVICE_NAME="+name)
				caller.Run(t, c)
				pids[uint32(c.Process.Pid)] = true
			}
			s := snapshot(t, p)
			checkAccounting(t, p)
			if counted(s) < 400 {
				t.Errorf("%d calls counted, want at least 400", counted(s))
			}
			groups := make(map[uint32]uint64)
			for _, series := range s.Series {
				g := s.Groups[series.Group]
				if g.Name == "a" || g.Name == "b" || want == 1 {
					groups[series.Group] += series.Count()
				}
				if groupBy&GroupByProcess != 0 && (g.Name == "a" || g.Name == "b") && !pids[g.Process.PID] {
					t.Errorf("group %+v is of another process", g)
				}
			}
			if want > 1 {
				if len(groups) != want {
					t.Errorf("groups %v, want %d", groups, want)
				}
				for id, calls := range groups {
					if calls != uint64(400/want) {
						t.Errorf("group %+v: %d calls, want %d", s.Groups[id], calls, 400/want)
					}
				}
			} else if len(groups) < want {
				t.Errorf("groups %v, want %d", groups, want)
			}
		})
	}
}

// Scratch buffers, in which programs identify new processes, are returned to the freelist.
// While none is free, calls count as no_storage.
func TestScratchBuffersRunOut(t *testing.T) {
	p := open(t, spans(HookAuto))
	free := p.collection.Maps[bpf.GetsockoptMapFreeScratch]
	takeAll := func() (scratchBuffers []uint32) {
		for range free.MaxEntries() {
			var id uint32
			if err := free.LookupAndDelete(nil, &id); err != nil {
				t.Fatalf("%d scratch buffers of %d are free: %v", len(scratchBuffers), free.MaxEntries(), err)
			}
			scratchBuffers = append(scratchBuffers, id)
		}
		slices.Sort(scratchBuffers)
		for i, id := range scratchBuffers {
			if id != uint32(i) {
				t.Fatalf("scratch buffers %v", scratchBuffers)
			}
		}
		return scratchBuffers
	}
	scratchBuffers := takeAll()
	c := caller.Command(t, "loop:3")
	caller.Run(t, c)
	if s := snapshot(t, p); s.Counters.NoStorage < 3 || counted(s) != 0 {
		t.Errorf("without a scratch buffer: %d calls counted, want none, and 3 without storage: %+v", counted(s), s.Counters)
	}
	for _, id := range scratchBuffers {
		if err := free.Put(nil, id); err != nil {
			t.Fatal(err)
		}
	}
	c = caller.Command(t, "loop:3")
	caller.Run(t, c)
	if own := drain(t, p, c.Process.Pid); len(own.calls) != 3 {
		t.Errorf("with scratch buffers: %d spans, want 3", len(own.calls))
	}
	checkAccounting(t, p)
	takeAll()
}

// Two processes as fast as they can: to the unit.
func TestExactUnderLoad(t *testing.T) {
	each := 200_000
	if testing.Short() { // under emulation
		each = 50_000
	}
	o := spans(HookAuto)
	o.SamplingRatio = 0.01
	o.KeepFailed = false
	p := open(t, o)
	var all collected
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := p.Read(time.Now().Add(20*time.Millisecond), 1<<20, &all); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { caller.Run(t, caller.Command(t, fmt.Sprintf("loop:%d", each), "OTEL_SERVICE_NAME=loaded")) })
	}
	wg.Wait()
	close(stop)
	<-done
	calls := slices.Concat(all.calls, drain(t, p, 0).calls)
	s := snapshot(t, p)
	checkAccounting(t, p)
	var total, failed uint64
	group := uint32(0)
	for _, series := range s.Series {
		if s.Groups[series.Group].Name == "loaded" {
			group = series.Group
			total += series.Count()
			if series.Error != 0 {
				failed += series.Count()
			}
		}
	}
	if total != 2*uint64(each) || failed != 2*uint64(each)/10 {
		t.Errorf("%d calls, %d failed, want %d and %d", total, failed, 2*each, 2*each/10)
	}
	var weight, variance float64
	for _, c := range calls {
		if c.Group != group {
			continue
		}
		if c.Randomness < c.Threshold || c.Threshold == 0 {
			t.Fatalf("randomness %x below threshold %x", c.Randomness, c.Threshold)
		}
		kept := 1 - float64(c.Threshold)/(1<<56)
		weight += 1 / kept
		variance += (1 - kept) / (kept * kept)
	}
	if s.Counters.RingFull != 0 {
		t.Errorf("%d spans lost", s.Counters.RingFull)
	}
	if deviation := (weight - 2*float64(each)) / math.Sqrt(variance); math.Abs(deviation) > 4 {
		t.Errorf("the spans stand for %.0f calls, %d were made: %.1f standard deviations", weight, 2*each, deviation)
	}
}

// The kernel's decisions: by option, executable, container and user, with
// exclusion.
func TestSelectionInTheKernel(t *testing.T) {
	c := caller.Command(t, "kinds:1")
	name := filepath.Base(c.Path)
	const kinds = 10
	for what, test := range map[string]struct {
		include, exclude selection.List
		want             int
	}{
		"everything":           {want: kinds},
		"executable":           {include: selection.List{Executables: []string{"other", name[:3] + "*"}}, want: kinds},
		"other executable":     {include: selection.List{Executables: []string{"x" + name}}},
		"excluded executable":  {exclude: selection.List{Executables: []string{"?*" + name[2:]}}},
		"option":               {include: selection.List{Options: []string{"SOL_SOCKET/SO_TYPE"}}, want: 4},
		"level":                {include: selection.List{Options: []string{"IPPROTO_TCP/*", "SOL_SOCKET/SO_ERROR"}}, want: 3},
		"level but one":        {include: selection.List{Options: []string{"SOL_SOCKET/*"}}, exclude: selection.List{Options: []string{"SOL_SOCKET/SO_TYPE"}}, want: 3},
		"user":                 {include: selection.List{Users: []int{os.Geteuid()}}, want: kinds},
		"other user":           {include: selection.List{Users: []int{12345}}},
		"excluded user":        {exclude: selection.List{Users: []int{os.Geteuid()}}},
		"container":            {include: selection.List{Containers: []string{"0123"}}},
		"not that container":   {exclude: selection.List{Containers: []string{"0123"}}, want: kinds},
		"executable and level": {include: selection.List{Executables: []string{name}, Options: []string{"IPPROTO_IPV6/*"}}, want: 1},
	} {
		t.Run(what, func(t *testing.T) {
			rules, err := selection.Compile(test.include, test.exclude)
			if err != nil {
				t.Fatal(err)
			}
			o := spans(HookAuto)
			o.Selection = rules
			p := open(t, o)
			c := caller.Command(t, "kinds:1", "OTEL_SERVICE_NAME=selected")
			caller.Run(t, c)
			got := drain(t, p, c.Process.Pid)
			if len(got.calls) != test.want {
				t.Errorf("%d spans, want %d", len(got.calls), test.want)
			}
			s := snapshot(t, p)
			var own uint64
			for _, series := range s.Series {
				if s.Groups[series.Group].Name == "selected" {
					own += series.Count()
				}
			}
			if own != uint64(test.want) {
				t.Errorf("%d calls counted, want %d", own, test.want)
			}
			if missing := kinds - test.want; s.Counters.Filtered < uint64(missing) {
				t.Errorf("%d calls filtered, want at least %d", s.Counters.Filtered, missing)
			}
			checkAccounting(t, p)
		})
	}
}

// A burst above the target is sampled, and the adjusted counts of its spans add up to it. Time
// passes here as the control loop is told.
func TestTargetRate(t *testing.T) {
	const target, calls, rounds = 1000, 50_000, 20
	o := spans(HookAuto)
	o.SpansPerSecond = target
	p := open(t, o)
	p.stopControlLoop()
	var got []record.Call
	for range rounds {
		c := caller.Command(t, fmt.Sprintf("loop:%d", calls), "OTEL_SERVICE_NAME=burst")
		caller.Run(t, c)
		got = append(got, drain(t, p, c.Process.Pid).calls...)
		if _, err := p.adjust(controlPeriod); err != nil {
			t.Fatal(err)
		}
	}
	seconds := rounds * controlPeriod.Seconds()
	var weight, variance float64
	for _, call := range got {
		kept := 1 - float64(call.Threshold)/(1<<56)
		weight += 1 / kept
		variance += (1 - kept) / (kept * kept)
	}
	if n := float64(len(got)); n < target*seconds/2 || n > 2*target*seconds {
		t.Errorf("%d spans in %v s at a target of %d a second", len(got), seconds, target)
	}
	if deviation := (weight - rounds*calls) / math.Sqrt(variance); math.Abs(deviation) > 4.5 {
		t.Errorf("the spans stand for %.0f calls, %d were made: %.1f standard deviations", weight, rounds*calls, deviation)
	}
	checkAccounting(t, p)
}

// Slow calls that always_keep lifts are a part of the target, also if it lifts nothing: the
// ratio is 1. Time passes here as the control loop is told.
func TestLiftedCallsKeepToTheTarget(t *testing.T) {
	const target, settling, rounds = 100, 20, 60
	o := spans(HookAuto)
	o.SpansPerSecond, o.KeepSlower = target, time.Nanosecond
	p := open(t, o)
	p.stopControlLoop()
	var before uint64
	for i := range rounds {
		if i == settling {
			before = snapshot(t, p).Counters.Kept
		}
		caller.Run(t, caller.Command(t, "loop:10000", "OTEL_SERVICE_NAME=slow"))
		if _, err := p.adjust(controlPeriod); err != nil {
			t.Fatal(err)
		}
	}
	seconds := (rounds - settling) * controlPeriod.Seconds()
	if kept := snapshot(t, p).Counters.Kept - before; kept == 0 || float64(kept) > 2*target*seconds {
		t.Errorf("%d spans in %v s at a target of %d a second", kept, seconds, target)
	}
}

func seen(t *testing.T, p *Probe) uint64 {
	t.Helper()
	n, err := p.readSeen()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A thread that is killed inside a call leaves nothing running: its return is
// seen, because the kernel traces it before the signal ends the thread.
func TestKilledInsideACall(t *testing.T) {
	p := open(t, spans(HookAuto))
	for range 20 {
		c := caller.Command(t, "loop:100000000")
		before := seen(t, p)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for seen(t, p) < before+1000 {
			time.Sleep(time.Millisecond)
		}
		if err := c.Process.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
	}
	drain(t, p, 0)
	checkAccounting(t, p)
}
