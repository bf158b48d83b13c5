// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"math"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

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
		each, coming, execs, rings = 3_000, 25, 9, 10
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

// mayMiss returns how many calls the kernel may have missed at most. It has as few instances of
// a kretprobe as CPUs, where it is not preemptible, and a task that waits for a CPU inside a
// call keeps one (Documentation/trace/kprobes.rst, maxactive). The next call of its thread
// counts the call as no_exit; a thread that ends has none. Where the kernel is preemptible,
// it skips the programs behind all other hooks while one is interrupted on the same CPU, and
// counts that.
func mayMiss(s *record.Snapshot, hook string) uint64 {
	if hook == HookKprobe {
		return math.MaxUint64
	}
	return s.Counters.MissedRuns
}
