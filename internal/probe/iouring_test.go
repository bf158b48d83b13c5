// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// functionsTraced reports whether a hook sees the function that carries out the
// requests, and so the result of each.
func functionsTraced(hook string) bool { return hook == HookFentry || hook == HookKprobe }

// uringPossible reports whether this kernel has getsockopt requests, see
// TestEveryKindThroughEveryHook.
func uringPossible(t *testing.T) bool {
	t.Helper()
	u, err := findIOUring(btf.NewCache())
	if err != nil {
		t.Fatal(err)
	}
	return u.possible
}

// Every request is counted once, with its result where the kernel shows it, and
// otherwise as one without a completion: never as another call.
func checkWays(t *testing.T, p *Probe) {
	for _, way := range caller.IOUringRequests() {
		t.Run(way.Name, func(t *testing.T) { checkWay(t, p, way) })
	}
}

func checkWay(t *testing.T, p *Probe, way caller.Requests) {
	t.Helper()
	const n = 40
	before := snapshot(t, p).Counters
	c := caller.Command(t, fmt.Sprintf("iouring %s:%d", way.Name, n), "OTEL_SERVICE_NAME=requests")
	caller.Run(t, c)
	got := drain(t, p, c.Process.Pid)
	want := 0
	switch {
	case way.Inline || way.Posted == caller.PostedAll || functionsTraced(p.Hook()):
		want = n
	case way.Posted == caller.PostedSome:
		want = len(got.calls)
	}
	now := snapshot(t, p).Counters
	// Kernels that can be preempted skip programs behind fentry while one is interrupted on
	// the same CPU, see docs/kernels.md.
	missed := int(now.MissedRuns - before.MissedRuns)
	if count := countEntries(t, got.calls); count[record.EntryIOUring] != len(got.calls) || len(got.calls) > want || len(got.calls) < want-missed {
		t.Errorf("entries %v in %d calls, want %d of io_uring; %d runs were missed", count, len(got.calls), want, missed)
	}
	for _, call := range got.calls {
		if call.Return != lengthOfInt {
			t.Errorf("returned %d, want the length", call.Return)
		}
	}
	if lost := now.NoCompletion - before.NoCompletion; missed == 0 && (lost != uint64(n-want) || now.Uncounted()-before.Uncounted() != lost) {
		t.Errorf("%d requests are without a completion, want %d: %+v", lost, n-want, now)
	}
}

// A request that ended without a completion is not mistaken for the next one in its memory,
// and nothing is read of the program that made that one.
func checkReusedMemory(t *testing.T, p *Probe) {
	for _, way := range []string{"skip", "async skip", "async overflow"} {
		t.Run(way, func(t *testing.T) {
			for range 3 {
				caller.Run(t, caller.Command(t, "iouring "+way+":40"))
				innocent := caller.Command(t, "reads:64")
				caller.Run(t, innocent)
				if got := drain(t, p, innocent.Process.Pid).calls; len(got) != 0 {
					t.Errorf("%d calls of a program that makes none: %+v", len(got), got[0])
				}
			}
		})
	}
	before := counted(snapshot(t, p))
	caller.Run(t, caller.Command(t, "reads:64"))
	if now := counted(snapshot(t, p)); now != before {
		t.Errorf("%d calls counted of a program that makes none", now-before)
	}
}

// What is cancelled because its chain broke, is a call that failed: also without a
// completion, and of a registered file, which the request has not got yet.
func checkBrokenChains(t *testing.T, p *Probe) {
	const chains = 100
	for _, script := range []string{"broken", "broken skip"} {
		before := snapshot(t, p).Counters
		c := caller.Command(t, fmt.Sprintf("%s:%d", script, chains))
		caller.Run(t, c)
		want := 2 * chains
		if functionsTraced(p.Hook()) {
			want = 0 // no socket was asked
		}
		calls := drain(t, p, c.Process.Pid).calls
		if len(calls) != want {
			t.Errorf("%s: %d calls, want %d", script, len(calls), want)
		}
		for _, call := range calls {
			if call.Return != -int32(unix.ECANCELED) || call.Entry != record.EntryIOUring {
				t.Errorf("%s: returned %d through %s, want ECANCELED", script, call.Return, call.Entry)
			}
		}
		if now := snapshot(t, p).Counters; now.Uncounted() != before.Uncounted() {
			t.Errorf("%s: requests are uncounted: %+v", script, now)
		}
	}
}

// The requests of a ring are forgotten when the ring is closed, not only when its thread
// exits: its worker threads see the completion queue overflow.
func checkClosedRing(t *testing.T, p *Probe) {
	end := holder(t, caller.Command(t, "abandon:64"))
	defer end()
	for deadline := time.Now().Add(time.Minute); entriesDeferred(t, p) != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d requests are deferred, and their ring is closed", entriesDeferred(t, p))
		}
	}
}

func entriesDeferred(t *testing.T, p *Probe) (entries int) {
	t.Helper()
	var key uint64
	var value []byte
	for it := p.collection.Maps["deferred_requests"].Iterate(); it.Next(&key, &value); {
		entries++
	}
	return entries
}

// checkNothingDeferred checks that the requests of a submitter or a ring that ended are
// forgotten.
func checkNothingDeferred(t *testing.T, p *Probe) {
	t.Helper()
	var running, deferred uint64
	if err := p.collection.Variables["uring_running"].Get(&running); err != nil {
		t.Fatal(err)
	}
	if err := p.collection.Variables["uring_deferred"].Get(&deferred); err != nil {
		t.Fatal(err)
	}
	entries := entriesDeferred(t, p)
	if running != 0 || deferred != 0 || entries != 0 {
		t.Errorf("%d threads run a request, %d requests are deferred, %d of them in the table; want none", running, deferred, entries)
	}
}

// holder starts a program that makes requests, and runs until end is called.
func holder(t *testing.T, c *exec.Cmd) (end func()) {
	t.Helper()
	in, out := startPiped(t, c)
	end = func() {
		_ = in.Close()
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	if _, err := out.ReadString('\n'); err != nil {
		end()
		t.Fatal(err)
	}
	return end
}

// However many requests programs keep waiting, those of others are counted: of the
// same owner and of another one.
func TestIOUringTableIsSharedAmongOwners(t *testing.T) {
	if !uringPossible(t) {
		return
	}
	const n = 40
	for _, hook := range working(t) {
		if functionsTraced(hook) {
			continue // no request waits in the kernel side
		}
		t.Run(hook, func(t *testing.T) {
			p := open(t, spans(hook))
			p.Complete()
			var ends []func()
			var owners []string
			for i := range 3 {
				owners = append(owners, caller.Cgroup(t, fmt.Sprintf("getsockopt-requests/%d.service", i)))
			}
			for i := range 6 {
				c := caller.Command(t, "hold:4000")
				caller.Enter(t, c, owners[i%2])
				ends = append(ends, holder(t, c))
			}
			for i, owner := range owners {
				t.Run(fmt.Sprintf("owner %d", i), func(t *testing.T) {
					c := caller.Command(t, "iouring async:40")
					caller.Enter(t, c, owner)
					caller.Run(t, c)
					if got := countEntries(t, drain(t, p, c.Process.Pid).calls); got[record.EntryIOUring] != n {
						t.Errorf("entries %v, want %d of io_uring", got, n)
					}
				})
			}
			for _, end := range ends {
				end()
			}
			checkAccounting(t, p)
			checkNothingDeferred(t, p)
			// Those that waited are cancelled, some after their thread has gone.
			if c := snapshot(t, p).Counters; c.Seen-c.Filtered != 6*4000+3*n || c.NoEntry+c.NoExit+c.LengthReadErrors != 0 {
				t.Errorf("%d requests are accounted for, want %d: %+v", c.Seen-c.Filtered, 6*4000+3*n, c)
			}
		})
	}
}
