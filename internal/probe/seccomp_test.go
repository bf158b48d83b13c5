// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// atBoundary are the hooks that see a call return which a seccomp filter
// answered: the others see only calls that run.
var atBoundary = []string{HookTracepoint, HookRawTracepoint}

// A call that a filter answers has not run: it is no call of a series, and counts
// under a reason of its own where its return is seen. One that the filter lets
// through is like any other.
func checkAnsweredBySeccomp(t *testing.T, p *Probe) {
	const calls = 20
	for script, runs := range map[string]bool{
		"seccomp-errno": false, "seccomp-errno-0": false, "seccomp-trace": false,
		"seccomp-notify": false, "seccomp-notify-0": false, "seccomp-notify-continue": true,
	} {
		t.Run(script, func(t *testing.T) {
			before := snapshot(t, p).Counters
			c := caller.Command(t, script+":"+strconv.Itoa(calls))
			caller.Run(t, c)
			got := drain(t, p, c.Process.Pid).calls
			after := snapshot(t, p).Counters
			want := 1
			if runs {
				want += calls
			}
			if len(got) != want {
				t.Errorf("%d calls, want %d", len(got), want)
			}
			refused := uint64(0)
			if !runs && slices.Contains(atBoundary, p.Hook()) {
				refused = calls
			}
			if n := after.Seccomp - before.Seccomp; n != refused {
				t.Errorf("%d calls counted as answered by seccomp, want %d", n, refused)
			}
			if n := after.NoEntry - before.NoEntry; n != 0 {
				t.Errorf("%d calls counted as running at the start", n)
			}
		})
	}
}

// Of a call for which the filter kills the process, newer kernels trace the
// return, older ones end the process at once.
func checkKilledBySeccomp(t *testing.T, p *Probe) {
	before := snapshot(t, p).Counters
	c := caller.Command(t, "seccomp-kill:1")
	var exit *exec.ExitError
	if err := c.Run(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGSYS {
		t.Fatalf("ended with %v, want %v", err, unix.SIGSYS)
	}
	after := snapshot(t, p).Counters
	if got := drain(t, p, c.Process.Pid).calls; len(got) != 1 {
		t.Errorf("%d calls, want the one before the filter", len(got))
	}
	if n := after.NoEntry - before.NoEntry; n != 0 {
		t.Errorf("%d calls counted as running at the start", n)
	}
	if n := after.Seccomp - before.Seccomp; n > 1 || n == 1 && !slices.Contains(atBoundary, p.Hook()) {
		t.Errorf("%d calls counted as answered by seccomp", n)
	}
}
