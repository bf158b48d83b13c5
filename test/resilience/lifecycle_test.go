// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/getsockopt/getsockoptreceiver/test/resilience/rig"
)

// SIGKILL in the middle of the load: the kernel keeps nothing, and the next
// Collector counts exactly from its start.
func TestKilledAndRestarted(t *testing.T) {
	t.Parallel()
	before, err := rig.Objects()
	require.NoError(t, err)
	load, backend := newLoad(t, "restart"), newBackend(t)
	config := backend.Config("", rig.Receiver{Name: receiver, Settings: rig.Settings(load)})
	c := start(t, config)
	held, err := rig.HeldBy(c.PID())
	require.NoError(t, err)
	if len(held) < 10 {
		t.Fatalf("the Collector holds %v, want programs, maps and links", held)
	}
	running, err := load.Start("stream")
	require.NoError(t, err)
	eventually(t, func() error {
		data, err := backend.Data(receiver)
		require.NoError(t, err)
		if data.Calls() == 0 {
			return fmt.Errorf("no call was counted")
		}
		return nil
	})
	c.Kill()
	_, err = running.End()
	require.NoError(t, err)
	eventually(t, func() error { return rig.Gone(held) })

	fresh := newBackend(t)
	c = start(t, fresh.Config("", rig.Receiver{Name: receiver, Settings: rig.Settings(load)}))
	made, err := load.Run("loop", "2", "10000")
	require.NoError(t, err)
	_, err = fresh.Rest(receiver, made)
	require.NoError(t, err)
	held, err = rig.HeldBy(c.PID())
	require.NoError(t, err)
	require.NoError(t, c.Stop())
	eventually(t, func() error { return rig.Gone(held) })
	eventually(t, func() error { return rig.NothingNew(before) })
}

// SIGHUP in the middle of the load: the receiver ends its accounting and begins
// another, and what it had of the kernel is freed.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	const reloads = 3
	b := newFixture(t, "reload")
	held, err := rig.HeldBy(b.collector.PID())
	require.NoError(t, err)
	descriptors, err := rig.Descriptors(b.collector.PID())
	require.NoError(t, err)
	for i := range reloads {
		running, err := b.load.Start("stream")
		require.NoError(t, err)
		eventually(t, func() error {
			if n := b.data(t).Starts(); n != i+1 {
				return fmt.Errorf("%d starts have counted, want %d", n, i+1)
			}
			return nil
		})
		require.NoError(t, b.collector.Signal(syscall.SIGHUP))
		require.NoError(t, b.collector.AwaitReady(i+2))
		eventually(t, func() error { return rig.Gone(held) })
		_, err = running.End()
		require.NoError(t, err)
		held, err = rig.HeldBy(b.collector.PID())
		require.NoError(t, err)
	}
	eventually(t, func() error {
		d := b.data(t)
		if d.Starts() != reloads+1 {
			return fmt.Errorf("%d starts have counted, want %d", d.Starts(), reloads+1)
		}
		return b.backend.SelfTelemetry(receiver).AtRest(d.Calls())
	})
	// The last start's calls are not known in number, those from here on are.
	b.made = b.data(t).Calls()
	b.run(t, "loop", "2", "10000")
	eventually(t, func() error {
		d := b.data(t)
		if d.Calls() != b.made {
			return fmt.Errorf("%d calls counted, want %d", d.Calls(), b.made)
		}
		return b.backend.SelfTelemetry(receiver).AtRest(d.Calls())
	})
	eventually(t, func() error {
		// A connection that idles may be open or not.
		now, err := rig.Descriptors(b.collector.PID())
		require.NoError(t, err)
		if now > descriptors+3 {
			return fmt.Errorf("%d descriptors after %d reloads, %d before", now, reloads, descriptors)
		}
		return nil
	})
	b.stop(t)
	eventually(t, func() error { return rig.Gone(held) })
}

// Two receivers of one Collector, of different hooks, which select different
// programs, and a third that selects both.
func TestTwoReceivers(t *testing.T) {
	t.Parallel()
	one, two, backend := newLoad(t, "one"), newLoad(t, "two"), newBackend(t)
	c := start(t, backend.Config("",
		rig.Receiver{Name: "getsockopt/one", Settings: rig.Settings(one, "hook: tracepoint")},
		rig.Receiver{Name: "getsockopt/two", Settings: rig.Settings(two, "hook: raw_tracepoint")},
	))
	ofOne, err := one.Run("loop", "2", "10000")
	require.NoError(t, err)
	ofTwo, err := two.Run("loop", "2", "20000")
	require.NoError(t, err)
	_, err = backend.Rest("getsockopt/one", ofOne)
	require.NoError(t, err)
	_, err = backend.Rest("getsockopt/two", ofTwo)
	require.NoError(t, err)
	require.NoError(t, c.Stop())
}

// Two Collectors of one host see the same calls, and each other's go on.
func TestTwoCollectors(t *testing.T) {
	t.Parallel()
	first := newFixture(t, "collectors")
	backend := newBackend(t)
	second := start(t, backend.Config("", rig.Receiver{Name: receiver, Settings: rig.Settings(first.load)}))
	first.run(t, "loop", "2", "10000")
	first.rest(t)
	_, err := backend.Rest(receiver, first.made)
	require.NoError(t, err)
	first.stop(t)
	more, err := first.load.Run("loop", "2", "10000")
	require.NoError(t, err)
	_, err = backend.Rest(receiver, first.made+more)
	require.NoError(t, err)
	require.NoError(t, second.Stop())
}
