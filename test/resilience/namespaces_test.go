// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/resilience/rig"
)

// A Collector that sees no other process and has clocks of its own, as in a pod
// without hostPID or in a checkpointed container, retires processes that have
// gone, and writes the times that it would write elsewhere.
func TestCollectorInItsOwnNamespaces(t *testing.T) {
	t.Parallel()
	for name, offsets := range map[string][2]string{"ahead": {"864000", "900000"}, "behind": {"-1", "-2"}} {
		t.Run(name, func(t *testing.T) {
			load, backend := newLoad(t, "unshared-"+name), newBackend(t)
			settings := rig.Settings(load, "group_by: process")
			cmd := exec.Command("unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
				"--time", "--monotonic", offsets[0], "--boottime", offsets[1],
				harness.Built(t, harness.Collector), "--config", harness.WriteFile(t, "collector.yaml", backend.Config("", rig.Receiver{Name: receiver, Settings: settings})))
			c, err := rig.Launch(cmd)
			require.NoError(t, err)
			t.Cleanup(c.Kill)
			require.NoError(t, c.AwaitReady(1))

			begin := time.Now()
			made, err := load.Run("fork", "500", "3")
			require.NoError(t, err)
			_, err = backend.Rest(receiver, made)
			require.NoError(t, err)
			end := time.Now()
			eventually(t, func() error {
				if telemetry := backend.SelfTelemetry(receiver); telemetry.Groups != 0 || telemetry.Series != 0 {
					return fmt.Errorf("processes that have gone take %d groups and %d series", telemetry.Groups, telemetry.Series)
				}
				return nil
			})
			_, err = backend.Rest(receiver, made)
			require.NoError(t, err)

			data, err := backend.Data(receiver)
			require.NoError(t, err)
			for i, s := range data.Each {
				if start := s.StartTimestamp().AsTime(); start.Before(begin) || start.After(end) {
					t.Fatalf("a span starts at %v, want a time from %v to %v", start, begin, end)
				}
				created, err := time.Parse(time.RFC3339, text(data.Resources[i], "process.creation.time"))
				if err != nil || created.Before(begin.Truncate(time.Millisecond)) || created.After(s.StartTimestamp().AsTime()) {
					t.Fatalf("a process was created at %v (%v), want a time from %v to %v", created, err, begin, s.StartTimestamp().AsTime())
				}
			}

			require.NoError(t, syscall.Kill(childOf(t, c.PID()), syscall.SIGTERM))
			if status, err := c.AwaitExit(rig.StopLimit); err != nil || status != 0 {
				t.Errorf("it ended with status %d, %v", status, err)
			}
		})
	}
}

// childOf is the only child of a process.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	require.NoError(t, err)
	child, err := strconv.Atoi(strings.TrimSpace(string(children)))
	require.NoError(t, err)
	return child
}
