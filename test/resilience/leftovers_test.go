// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/test/resilience/rig"
)

// nothingLeft looks whether this process and the kernel have no more than
// before. Goroutines are TestMain's to look at.
func nothingLeft(t *testing.T, descriptors int, objects map[rig.Object]bool) {
	t.Helper()
	now, err := rig.Descriptors(os.Getpid())
	require.NoError(t, err)
	if now != descriptors {
		t.Errorf("%d descriptors, want %d as before", now, descriptors)
	}
	held, err := rig.HeldBy(os.Getpid())
	require.NoError(t, err)
	if len(held) != 0 {
		t.Errorf("this process still holds %v, want nothing", held)
	}
	eventually(t, func() error { return rig.NothingNew(objects) })
}

// warm opens what the runtime and the eBPF library open once and keep.
func warm(t *testing.T, hook string) {
	t.Helper()
	if p, err := probe.Start(context.Background(), probe.Options{Hook: hook, Spans: true}); err == nil {
		require.NoError(t, p.Close())
	}
}

// Starting and closing, also of hooks that do not work here, leaves nothing.
func TestCyclesLeaveNothing(t *testing.T) {
	for _, hook := range append(allHooks, probe.HookAuto) {
		t.Run(hook, func(t *testing.T) {
			warm(t, hook)
			descriptors, err := rig.Descriptors(os.Getpid())
			require.NoError(t, err)
			objects, err := rig.Objects()
			require.NoError(t, err)
			for range 2 {
				warm(t, hook)
			}
			nothingLeft(t, descriptors, objects)
		})
	}
}

// Start runs out of descriptors at each of the steps that take one, and then
// leaves nothing, until there are enough for it to end as it does without a
// limit. The steps of the hooks are the same but for attaching, so that each of
// them is looked at for one hook and some for the others.
func TestStartFailsAtEveryStep(t *testing.T) {
	looked := 0 // at so many steps, with a hook before
	for _, hook := range allHooks {
		t.Run(hook, func(t *testing.T) {
			warm(t, hook)
			descriptors, err := rig.Descriptors(os.Getpid())
			require.NoError(t, err)
			objects, err := rig.Objects()
			require.NoError(t, err)
			unlimited := outcome(t, hook, 1000)
			steps := 0
			for outcome(t, hook, steps) != unlimited {
				if steps < looked {
					steps += 5
				} else {
					steps++
				}
			}
			t.Logf("cut off at %d steps, then: %s", steps, unlimited)
			if strings.HasPrefix(unlimited, works) && steps < 10 {
				t.Errorf("Start was cut off at %d steps, want each of its steps to fail", steps)
			}
			looked = max(looked, steps)
			nothingLeft(t, descriptors, objects)
		})
	}
}

const works = "works, but for "

// outcome starts and closes a probe when only so many more descriptors can be
// opened, and returns what came of it. One that starts without its io_uring side
// has that in its outcome.
func outcome(t *testing.T, hook string, more int) string {
	t.Helper()
	p, err := startWithin(t, hook, more)
	if err != nil {
		return err.Error()
	}
	degraded := fmt.Sprint(p.Degraded())
	require.NoError(t, p.Close())
	return works + degraded
}

// startWithin starts a probe when only so many more descriptors can be opened
// after its checks, one of which is for descriptors.
func startWithin(t *testing.T, hook string, more int) (*probe.Probe, error) {
	t.Helper()
	var was unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	// The limit is above the highest descriptor, which has the next number.
	next, err := unix.Open("/dev/null", unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Close(next))
	limit := func() {
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next + more), Max: was.Max}))
	}
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was)) }()
	return probe.Start(atEachHook{context.Background(), limit}, probe.Options{Hook: hook, Spans: true})
}

// atEachHook does something when Start asks whether it is called off, which it
// does before it tries a hook.
type atEachHook struct {
	context.Context
	do func()
}

func (c atEachHook) Err() error {
	c.do()
	return c.Context.Err()
}

// A start that is called off leaves nothing either.
func TestCancelledStartLeavesNothing(t *testing.T) {
	warm(t, probe.HookAuto)
	descriptors, err := rig.Descriptors(os.Getpid())
	require.NoError(t, err)
	objects, err := rig.Objects()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := probe.Start(ctx, probe.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("started with %v, want %v", err, context.Canceled)
	}
	nothingLeft(t, descriptors, objects)
}
