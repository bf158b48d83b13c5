// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/selection"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

func TestMain(m *testing.M) {
	caller.Main()
	confinedMain()
	goleak.VerifyTestMain(m)
}

// working returns the hooks that start on this kernel, which are found once. The others
// are rejected with a reason.
func working(t *testing.T) []string {
	t.Helper()
	workingOnce.Do(func() { workingHooks = findWorking(t) })
	if len(workingHooks) == 0 {
		t.Fatal("no hook works here: these tests need root and a kernel with BTF")
	}
	return workingHooks
}

var (
	workingOnce  sync.Once
	workingHooks []string
)

// hooksToRepeat are the hooks for tests of what hooks share: under emulation only the best.
func hooksToRepeat(t *testing.T) []string {
	t.Helper()
	if testing.Short() {
		return []string{HookAuto}
	}
	return working(t)
}

func findWorking(t *testing.T) (names []string) {
	t.Helper()
	for _, h := range hooks {
		if slices.Contains(names, h.name) {
			continue
		}
		p, err := Open(context.Background(), Options{Hook: h.name})
		if err != nil {
			t.Logf("%v", err)
			continue
		}
		names = append(names, h.name)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// open opens a probe that counts the known program alone, unless the options select
// others: other programs of the host must not fill its ring buffer and its tables. Series
// have as many counts as on a host of many CPUs. Tests of io_uring complete it: the verifier
// takes longer for those programs than for the hook, in a virtual machine for seconds.
func open(t *testing.T, o Options) *Probe {
	t.Helper()
	o.Logger = zaptest.NewLogger(t)
	if o.Selection == nil {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		if o.Selection, err = selection.Compile(selection.List{Executables: []string{filepath.Base(exe)}}, selection.List{}); err != nil {
			t.Fatal(err)
		}
	}
	if o.shards == 0 {
		o.shards = maxShards
	}
	p, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	totals.Store(p, &total{series: make(map[waitingKey]*record.Series), groups: make(map[uint32]record.Group)})
	t.Cleanup(func() {
		totals.Delete(p)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func spans(hook string) Options {
	return Options{Hook: hook, Spans: true, Parents: true, ValuesEnabled: true, ValueMaxLength: 512, SamplingRatio: 1, KeepFailed: true}
}

// collected are copies of the records that were read.
type collected struct {
	calls     []record.Call
	processes map[record.ProcessKey]record.Process
	malformed []error
}

func (c *collected) Call(call *record.Call) {
	kept := *call
	kept.Comm = bytes.Clone(call.Comm)
	kept.Value = bytes.Clone(call.Value)
	kept.Socket.Local.Address = bytes.Clone(call.Socket.Local.Address)
	kept.Socket.Peer.Address = bytes.Clone(call.Socket.Peer.Address)
	c.calls = append(c.calls, kept)
}

func (c *collected) Process(p *record.Process) {
	if c.processes == nil {
		c.processes = make(map[record.ProcessKey]record.Process)
	}
	c.processes[p.Key] = *p
}

func (c *collected) Malformed(err error) { c.malformed = append(c.malformed, err) }

// drain reads until the ring buffer is empty, and keeps the calls of pid, or all if it is 0.
func drain(t *testing.T, p *Probe, pid int) *collected {
	t.Helper()
	var all collected
	for {
		n, err := p.Read(time.Now(), 1<<20, &all)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	if len(all.malformed) != 0 {
		t.Errorf("malformed records: %v", all.malformed)
	}
	if pid == 0 {
		return &all
	}
	own := collected{processes: all.processes}
	for _, c := range all.calls {
		if int(c.Process.PID) == pid {
			own.calls = append(own.calls, c)
		}
	}
	return &own
}

// seriesOf returns the series of the group that a process was counted under.
func seriesOf(s record.Snapshot, group uint32) []record.Series {
	var own []record.Series
	for _, series := range s.Series {
		if series.Group == group && !series.Overflow {
			own = append(own, series)
		}
	}
	return own
}

// snapshot returns the last snapshot of a probe with the calls of all, and all groups.
func snapshot(t *testing.T, p *Probe) record.Snapshot {
	t.Helper()
	s, err := p.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return addTotal(t, p, &s)
}

// addTotal is for tests that take snapshots themselves.
func addTotal(t *testing.T, p *Probe, s *record.Snapshot) record.Snapshot {
	t.Helper()
	c, _ := totals.Load(p)
	c.(*total).add(t, s)
	return c.(*total).as(*s)
}

// total is the calls of all snapshots of a probe.
type total struct {
	series map[waitingKey]*record.Series
	groups map[uint32]record.Group
}

var totals sync.Map // of *total, by *Probe

func (c *total) add(t *testing.T, s *record.Snapshot) {
	t.Helper()
	maps.Copy(c.groups, s.Groups)
	seen := make(map[waitingKey]bool)
	for i := range s.Series {
		series := &s.Series[i]
		key := waitingKey{series.SeriesKey, series.Overflow}
		if seen[key] {
			t.Errorf("series %+v is twice in a snapshot", key)
		}
		seen[key] = true
		if _, known := s.Groups[series.Group]; !known && series.Group != record.GroupOverflow {
			t.Errorf("the group of series %+v is not in the snapshot", key)
		}
		if c.series[key] == nil {
			c.series[key] = &record.Series{SeriesKey: series.SeriesKey, Overflow: series.Overflow, Buckets: make([]uint64, histogram.Buckets)}
		}
		c.series[key].Sum += series.Sum
		for i, n := range series.Buckets {
			c.series[key].Buckets[series.First+i] += n
		}
	}
}

func (c *total) as(s record.Snapshot) record.Snapshot {
	s.Series = nil
	for _, series := range c.series {
		s.Series = append(s.Series, *series)
	}
	s.Groups = maps.Clone(c.groups)
	return s
}

func checkCall(t *testing.T, got *record.Call, want caller.Call) {
	t.Helper()
	if int(got.Level) != want.Level || int(got.Option) != want.Option || int(got.Return) != want.Return {
		t.Errorf("call (%d, %d) = %d, want (%d, %d) = %d", got.Level, got.Option, got.Return, want.Level, want.Option, want.Return)
	}
	if got.Has(record.FlagPendingError) != (want.Pending != 0) || int(got.Error) != int(want.Pending) {
		t.Errorf("%s: pending error %d, want %d", want.Name, got.Error, want.Pending)
	}
	if got.Duration == 0 || got.Entry != record.EntrySyscall || string(got.Comm) == "" {
		t.Errorf("%s: duration %d, entry %s, comm %q", want.Name, got.Duration, got.Entry, got.Comm)
	}
	if socket := [3]uint16{got.Socket.Family, got.Socket.Type, got.Socket.Protocol}; socket != want.Socket {
		t.Errorf("%s: socket %v, want %v", want.Name, socket, want.Socket)
	}
	option, ok := sockopt.Lookup(got.Level, got.Option, sockopt.Where{Family: got.Socket.Family})
	if !ok || option.Name != want.Name {
		t.Errorf("named %q, want %q", option.Name, want.Name)
	}
	value := ""
	if got.Has(record.FlagValue) {
		value = option.Format(got.Value, got.LengthOut, sockopt.Where{Family: got.Socket.Family}).Text
	}
	if value != want.Value {
		t.Errorf("%s: value %q, want %q", want.Name, value, want.Value)
	}
}

func checkSeries(t *testing.T, s record.Snapshot, group uint32, name string, rounds uint64) {
	t.Helper()
	if s.Groups[group].Name != name {
		t.Errorf("counted under %+v, want %q", s.Groups[group], name)
	}
	type outcome struct {
		level, option int
		err           int
		pending       bool
	}
	want := make(map[outcome]uint64)
	for _, kind := range caller.Kinds() {
		want[outcome{kind.Level, kind.Option, -kind.Return + int(kind.Pending), kind.Pending != 0}] += rounds
	}
	got := make(map[outcome]uint64)
	for _, series := range seriesOf(s, group) {
		o := outcome{int(series.Level), int(series.Option), int(series.Error), series.Pending}
		got[o] += series.Count() // pending errors are a series for each peer
		if series.Sum == 0 {
			t.Errorf("%+v took no time", o)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// Every call has one outcome: the two equations, at rest.
func TestEveryCallIsAccountedForWithFullRing(t *testing.T) {
	for _, hook := range hooksToRepeat(t) {
		t.Run(hook, func(t *testing.T) {
			o := spans(hook)
			o.RingBytes = os.Getpagesize() // loses most of the spans
			p := open(t, o)
			caller.Run(t, caller.Command(t, "loop:20000"))
			if err := p.Detach(); err != nil {
				t.Fatal(err)
			}
			read := len(drain(t, p, 0).calls)
			s := snapshot(t, p)
			c := s.Counters
			var counted uint64
			for _, series := range s.Series {
				counted += series.Count()
			}
			if c.RingFull == 0 {
				t.Error("the ring buffer of one page lost nothing, so nothing was tested")
			}
			if c.Submitted != uint64(read) {
				t.Errorf("%d records submitted, %d read", c.Submitted, read)
			}
			uncounted := c.Uncounted()
			if c.Seen != c.Filtered+uncounted+c.SampledOut+c.Submitted+c.RingFull {
				t.Errorf("spans do not add up: %+v", c)
			}
			if c.Seen != c.Filtered+uncounted+counted {
				t.Errorf("metrics do not add up: %d counted, %+v", counted, c)
			}
			if counted < 20000 {
				t.Errorf("%d calls counted, want at least 20000", counted)
			}
		})
	}
}

func TestReceiversOwnCallsAreFiltered(t *testing.T) {
	p := open(t, spans(HookAuto))
	before := snapshot(t, p).Counters
	caller.Loop(100)
	after := snapshot(t, p).Counters
	if got := after.Filtered - before.Filtered; got < 100 {
		t.Errorf("%d calls filtered, want at least 100", got)
	}
	if got := drain(t, p, os.Getpid()); len(got.calls) != 0 {
		t.Errorf("%d calls of the receiver's own in the ring", len(got.calls))
	}
}

// The names a process carries may hold any byte.
func TestBytesThatAreNotUTF8(t *testing.T) {
	o := spans(HookAuto)
	var err error
	if o.Selection, err = selection.Compile(selection.List{Executables: []string{"na\xefve-?"}}, selection.List{}); err != nil {
		t.Fatal(err)
	}
	p := open(t, o)
	c := caller.Command(t, "loop:1", "OTEL_SERVICE_NAME=caf\xe9", "OTEL_RESOURCE_ATTRIBUTES=a=\xff,process.pid=1")
	binary, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	c.Path = filepath.Join(t.TempDir(), "na\xefve-\xf0")
	if err := os.WriteFile(c.Path, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	caller.Run(t, c)
	got := drain(t, p, c.Process.Pid)
	if len(got.calls) != 1 {
		t.Fatalf("%d calls, want 1", len(got.calls))
	}
	process := got.processes[got.calls[0].Process]
	if process.ExecutablePath != c.Path {
		t.Errorf("executable %q, want %q", process.ExecutablePath, c.Path)
	}
	if process.Comm != "na\xefve-\xf0" || string(got.calls[0].Comm) != process.Comm {
		t.Errorf("comm %q and %q, want %q", process.Comm, got.calls[0].Comm, "na\xefve-\xf0")
	}
	if want := []string{"OTEL_SERVICE_NAME=caf\xe9", "OTEL_RESOURCE_ATTRIBUTES=a=\xff,process.pid=1"}; strings.Join(process.Environment, "\n") != strings.Join(want, "\n") {
		t.Errorf("environment %q, want %q", process.Environment, want)
	}
	if group := snapshot(t, p).Groups[process.Group]; group.Name != "caf\xe9" {
		t.Errorf("group %+v, want the name %q", group, "caf\xe9")
	}
}

// The kernel side searches a large environment, and reports if it did not reach its end.
func TestLargeEnvironment(t *testing.T) {
	p := open(t, spans(HookAuto))
	for _, test := range []struct {
		name      string
		variables int
		size      int
		found     bool
	}{
		{"near", 10, 100, true},
		{"far", 400, 40, true},
		{"many", 2000, 10, true},
		{"too many", 2100, 10, false},
		{"large", 30, 4000, true},
		{"too large", 40, 4000, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var environment []string
			for i := range test.variables {
				environment = append(environment, fmt.Sprintf("V%d=%s", i, strings.Repeat("x", test.size)))
			}
			c := caller.Command(t, "loop:1", append(environment, "OTEL_SERVICE_NAME=deep")...)
			caller.Run(t, c)
			got := drain(t, p, c.Process.Pid)
			if len(got.calls) != 1 {
				t.Fatalf("%d calls, want 1", len(got.calls))
			}
			process := got.processes[got.calls[0].Process]
			if found := len(process.Environment) == 1; found != test.found || process.EnvironmentLost == test.found {
				t.Errorf("found %t, to be completed %t, want found %t", found, process.EnvironmentLost, test.found)
			}
		})
	}
}
