// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/selection"
	"github.com/getsockopt/getsockoptreceiver/test/resilience/rig"
)

// allHooks are those that a configuration may name.
var allHooks = []string{probe.HookFentry, probe.HookKprobe, probe.HookTracepoint, probe.HookRawTracepoint}

// working are the hooks that work here, and why the others do not.
var working = sync.OnceValues(func() (hooks []string, refused []error) {
	for _, hook := range allHooks {
		p, err := probe.Start(context.Background(), probe.Options{Hook: hook})
		if err == nil {
			hooks, err = append(hooks, hook), p.Close()
		}
		if err != nil {
			refused = append(refused, err)
		}
	}
	return hooks, refused
})

// eachHook runs a test for each hook that works here. Which must work on which
// kernel is what test/kernels looks at.
func eachHook(t *testing.T, test func(*testing.T, string)) {
	t.Helper()
	hooks, refused := working()
	if len(hooks) == 0 {
		t.Fatalf("no hook works here: %v", refused)
	}
	for _, hook := range hooks {
		t.Run(hook, func(t *testing.T) { test(t, hook) })
	}
}

// options are a probe's that sees one load and makes a record of every call.
func options(t *testing.T, hook string, load *rig.Load) probe.Options {
	t.Helper()
	rules, err := selection.Compile(selection.List{Executables: []string{load.Name()}}, selection.List{})
	require.NoError(t, err)
	return probe.Options{
		Hook: hook, Spans: true, ValuesEnabled: true, ValueMaxLength: 512,
		SamplingRatio: 1, KeepFailed: true, Selection: rules,
	}
}

func open(t *testing.T, o probe.Options) *probe.Probe {
	t.Helper()
	p, err := probe.Start(context.Background(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// reader counts what comes out of the ring.
type reader struct {
	calls, malformed uint64
}

func (r *reader) Call(*record.Call)       { r.calls++ }
func (r *reader) Process(*record.Process) {}
func (r *reader) Malformed(error)         { r.malformed++ }

// drain reads what is left.
func (r *reader) drain(t *testing.T, p *probe.Probe) {
	t.Helper()
	for {
		n, err := p.Read(time.Now(), 1<<20, r)
		require.NoError(t, err)
		if n == 0 {
			return
		}
	}
}

// balance looks at the two equations on the kernel's side, where a span is a
// record that was read. earlier is how many calls earlier snapshots had.
func balance(t *testing.T, p *probe.Probe, earlier, read, running uint64) record.Snapshot {
	t.Helper()
	s, err := p.Snapshot()
	require.NoError(t, err)
	c := s.Counters
	uncounted := c.Uncounted()
	if ends := c.Filtered + uncounted + c.SampledOut + read + c.RingFull + running; c.Seen != ends {
		t.Errorf("spans do not add up: %d seen, %d read, %d accounted for: %+v", c.Seen, read, ends, c)
	}
	if ends := c.Filtered + uncounted + earlier + counted(s) + running; c.Seen != ends {
		t.Errorf("metrics do not add up: %d seen, %d counted, %d accounted for: %+v", c.Seen, earlier+counted(s), ends, c)
	}
	return s
}

func counted(s record.Snapshot) (n uint64) {
	for i := range s.Series {
		n += s.Series[i].Count()
	}
	return n
}

// A ring of one page, read while two processes fill it as fast as they can.
func TestSmallestRingAtFullLoad(t *testing.T) {
	load := newLoad(t, "ring")
	eachHook(t, func(t *testing.T, hook string) {
		o := options(t, hook, load)
		o.RingBytes = os.Getpagesize()
		p := open(t, o)
		var r reader
		var reading sync.WaitGroup
		var earlier uint64
		stop := make(chan struct{})
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := p.Read(time.Now().Add(10*time.Millisecond), 1<<20, &r); err != nil {
					t.Error(err)
					return
				}
				s, err := p.Snapshot()
				if err != nil {
					t.Error(err)
					return
				}
				earlier += counted(s)
			}
		})
		made, err := load.Run("loop", "2", "100000")
		require.NoError(t, err)
		close(stop)
		reading.Wait()
		require.NoError(t, p.Detach())
		r.drain(t, p)
		s := balance(t, p, earlier, r.calls, 0)
		if c := s.Counters; earlier+counted(s) != made || r.calls == 0 || c.RingFull == 0 || r.malformed != 0 {
			t.Errorf("%d calls counted, %d made, %d read, %d malformed: %+v", earlier+counted(s), made, r.calls, r.malformed, c)
		}
	})
}

// A call that is held inside the kernel when the probe attaches, and one when it
// detaches. Neither is guessed.
func TestCallsInsideTheKernelAtAttachAndDetach(t *testing.T) {
	load := newLoad(t, "held")
	eachHook(t, func(t *testing.T, hook string) {
		early, err := load.Start("hold")
		require.NoError(t, err)
		defer early.Kill()
		require.NoError(t, early.Await("inside"))
		p := open(t, options(t, hook, load))
		before, err := p.Snapshot()
		require.NoError(t, err)
		require.NoError(t, early.Go())
		_, err = early.End()
		require.NoError(t, err)
		now, err := p.Snapshot()
		require.NoError(t, err)
		if now.Counters.NoEntry == before.Counters.NoEntry {
			t.Errorf("%d calls without an entry before and after", now.Counters.NoEntry)
		}

		late, err := load.Start("hold")
		require.NoError(t, err)
		defer late.Kill()
		require.NoError(t, late.Await("inside"))
		require.NoError(t, p.Detach())
		require.NoError(t, late.Go())
		_, err = late.End()
		require.NoError(t, err)
		var r reader
		r.drain(t, p)
		if s := balance(t, p, 0, r.calls, 1); counted(s) != 0 || r.calls != 0 {
			t.Errorf("%d calls counted and %d read, want none", counted(s), r.calls)
		}
	})
}

// Processes that are killed inside a call, whichever hook sees them.
func TestKilledUnderEachHook(t *testing.T) {
	load := newLoad(t, "kill")
	eachHook(t, func(t *testing.T, hook string) {
		p := open(t, options(t, hook, load))
		made, err := load.Run("killed", "50")
		require.NoError(t, err)
		require.NoError(t, p.Detach()) // what else the host does is then at rest as well
		var r reader
		r.drain(t, p)
		if s := balance(t, p, 0, r.calls, 0); counted(s) != made || r.calls != made {
			t.Errorf("%d calls counted and %d read, want %d", counted(s), r.calls, made)
		}
	})
}

// Processes come while the groups of those that have ended are freed.
func TestSnapshotsAddUp(t *testing.T) {
	load := newLoad(t, "grow")
	o := options(t, probe.HookAuto, load)
	o.Spans = false
	o.GroupBy = probe.GroupByProcess
	p := open(t, o)
	running, err := load.Start("churn")
	require.NoError(t, err)
	var total uint64
	add := func() {
		s, err := p.Snapshot()
		require.NoError(t, err)
		for i := range s.Series {
			if _, known := s.Groups[s.Series[i].Group]; !known && s.Series[i].Group != record.GroupOverflow {
				t.Fatalf("no group %d", s.Series[i].Group)
			}
		}
		total += counted(s)
	}
	for begin := time.Now(); time.Since(begin) < 3*time.Second; time.Sleep(20 * time.Millisecond) {
		add()
	}
	made, err := running.End()
	require.NoError(t, err)
	add()
	if total != made {
		t.Errorf("%d calls counted, want %d", total, made)
	}
}
