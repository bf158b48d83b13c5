// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/resilience/rig"
)

var capabilityNames = map[uintptr]string{
	unix.CAP_BPF:             "CAP_BPF",
	unix.CAP_PERFMON:         "CAP_PERFMON",
	unix.CAP_SYS_ADMIN:       "CAP_SYS_ADMIN",
	unix.CAP_SYS_PTRACE:      "CAP_SYS_PTRACE",
	unix.CAP_DAC_READ_SEARCH: "CAP_DAC_READ_SEARCH",
}

// unprivileged is a Collector of a user who is nobody, in a folder that the
// user can read.
type unprivileged struct {
	folder, program string
	backend         *rig.Backend
	load            *rig.Load
}

func newUnprivileged(t *testing.T, load string) *unprivileged {
	t.Helper()
	// Not below t.TempDir, which is closed to other users.
	folder, err := os.MkdirTemp("", "privileges-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, os.Chmod(folder, 0o755))
	u := &unprivileged{folder: folder, program: filepath.Join(folder, "collector"), backend: newBackend(t)}
	u.load, err = rig.NewLoad(folder, "load-"+load)
	require.NoError(t, err)
	// By another program: one that this process writes to cannot be executed as
	// long as a child that was forked meanwhile has not closed it.
	require.NoError(t, exec.Command("cp", harness.Built(t, harness.Collector), u.program).Run())
	require.NoError(t, os.Chmod(u.program, 0o755))
	return u
}

// launch starts it with exactly these capabilities.
func (u *unprivileged) launch(t *testing.T, settings string, mounted bool, capabilities ...uintptr) *rig.Collector {
	t.Helper()
	config := filepath.Join(u.folder, "collector.yaml")
	require.NoError(t, os.WriteFile(config, []byte(u.backend.Config("", rig.Receiver{Name: receiver, Settings: settings})), 0o644))
	cmd := exec.Command(u.program, "--config", config)
	cmd.Dir = u.folder
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: capabilities,
	}
	c, err := launchWithTracefs(cmd, mounted)
	require.NoError(t, err)
	t.Cleanup(c.Kill)
	return c
}

// launchWithTracefs starts a Collector where tracefs is mounted at its place,
// or nowhere, whatever the host has: in a mount namespace of its own.
func launchWithTracefs(cmd *exec.Cmd, mounted bool) (c *rig.Collector, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock: the thread is of no other use
		if err = privateTracefs(mounted); err == nil {
			c, err = rig.Launch(cmd)
		}
	}()
	<-done
	return c, err
}

func privateTracefs(mounted bool) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("leave the mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	mounts, err := os.ReadFile("/proc/thread-self/mounts")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(mounts)), "\n")
	slices.Reverse(lines) // the inner ones first
	for _, line := range lines {
		if f := strings.Fields(line); f[2] == "tracefs" || f[2] == "debugfs" {
			if err := unix.Unmount(f[1], unix.MNT_DETACH); err != nil {
				return fmt.Errorf("unmount %s: %w", f[1], err)
			}
		}
	}
	if !mounted {
		return nil
	}
	return unix.Mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, "")
}

// works looks whether calls arrive, all of them.
func (u *unprivileged) works(t *testing.T, c *rig.Collector) {
	t.Helper()
	require.NoError(t, c.AwaitReady(1))
	before, err := u.backend.Data(receiver)
	require.NoError(t, err)
	made, err := u.load.Run("loop", "1", "100")
	require.NoError(t, err)
	eventually(t, func() error {
		d, err := u.backend.Data(receiver)
		if n := d.Spans - before.Spans; err == nil && (n != made || d.Calls() != made) {
			err = fmt.Errorf("%d spans arrived and %d calls were counted, %d were made", n, d.Calls(), made)
		}
		return err
	})
	require.NoError(t, c.Stop())
}

// refuses looks whether it ends with one error that names the capability.
func refuses(t *testing.T, c *rig.Collector, name string) {
	t.Helper()
	status, err := c.AwaitExit(limit)
	require.NoError(t, err)
	_, message, found := strings.Cut(c.Output(), "\nError: ")
	if status != 1 || !found || strings.Contains(strings.TrimSpace(message), "\n") || !strings.Contains(message, name) {
		t.Errorf("status %d, want 1 and one line that names %s:\n%s", status, name, c.Output())
	}
}

// The smallest set of capabilities for each hook that works here works, and
// without any one of them the Collector reports which one is missing.
// docs/privileges.md has the table.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	u := newUnprivileged(t, "nobody")
	both := []uintptr{unix.CAP_BPF, unix.CAP_PERFMON}
	for _, test := range []struct {
		name, hook string
		tracefs    bool
		besides    []uintptr // held, but not what the case is about
		needs      []uintptr
	}{
		{name: "raw_tracepoint", hook: probe.HookRawTracepoint, needs: both},
		{name: "auto", hook: probe.HookAuto, needs: both},
		{
			name: "tracepoint with tracefs", hook: probe.HookTracepoint, tracefs: true,
			needs: append(both, unix.CAP_DAC_READ_SEARCH),
		},
		{
			// CAP_SYS_ADMIN includes the other two.
			name: "tracepoint without tracefs", hook: probe.HookTracepoint,
			besides: both, needs: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_DAC_READ_SEARCH},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings := rig.Settings(u.load, "hook: "+test.hook)
			u.works(t, u.launch(t, settings, test.tracefs, append(test.needs, test.besides...)...))
			for _, missing := range test.needs {
				rest := slices.DeleteFunc(append(slices.Clone(test.needs), test.besides...), func(c uintptr) bool { return c == missing })
				refuses(t, u.launch(t, settings, test.tracefs, rest...), capabilityNames[missing])
			}
		})
	}
	t.Run("CAP_SYS_ADMIN alone", func(t *testing.T) {
		u.works(t, u.launch(t, rig.Settings(u.load), false, unix.CAP_SYS_ADMIN))
	})
}

// Calls through io_uring need no more than those through the hook.
func TestLeastPrivilegeForIOUring(t *testing.T) {
	t.Parallel()
	u := newUnprivileged(t, "rings")
	known := caller.Command(t, "iouring:20", "OTEL_SERVICE_NAME=rings", "GORACE=atexit_sleep_ms=0")
	settings := fmt.Sprintf("{collection_interval: 200ms, select: {executables: [%s]}}", filepath.Base(known.Path))
	c := u.launch(t, settings, false, unix.CAP_BPF, unix.CAP_PERFMON)
	require.NoError(t, c.AwaitReady(1))
	caller.Run(t, known)
	eventually(t, func() error {
		d, err := u.backend.Data(receiver)
		if n := d.CallsOf("rings"); err == nil && n != 20 {
			err = fmt.Errorf("%d calls counted, want 20", n)
		}
		return err
	})
	require.NoError(t, c.Stop())
}

// A process whose environment is not resident is named by what /proc reports,
// which takes two capabilities more. Without them it is named after its
// executable, and the log has the reason.
func TestLeastPrivilegeForEnvironments(t *testing.T) {
	t.Parallel()
	u := newUnprivileged(t, "cold")
	needs := []uintptr{unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH}
	try := func(t *testing.T, service string, capabilities ...uintptr) *rig.Collector {
		t.Helper()
		c := u.launch(t, rig.Settings(u.load, "hook: raw_tracepoint"), false, append(capabilities, unix.CAP_BPF, unix.CAP_PERFMON)...)
		require.NoError(t, c.AwaitReady(1))
		d, err := u.backend.Data(receiver)
		require.NoError(t, err)
		before := len(d.Resources)
		require.NoError(t, c.Signal(syscall.SIGSTOP))
		running, err := u.load.Start("cold", "OTEL_SERVICE_NAME=cold")
		require.NoError(t, err)
		defer running.Kill()
		require.NoError(t, running.Await("called"))
		require.NoError(t, c.Signal(syscall.SIGCONT))
		eventually(t, func() error {
			d, err := u.backend.Data(receiver)
			if err == nil && (len(d.Resources) != before+1 || d.CallsOf(service) != 1) {
				err = fmt.Errorf("%d spans and %d calls of service %q, want 1", len(d.Resources)-before, d.CallsOf(service), service)
			}
			return err
		})
		d, err = u.backend.Data(receiver)
		require.NoError(t, err)
		if got := text(d.Resources[before], "service.name"); got != service {
			t.Errorf("the span's service is %q, want %q", got, service)
		}
		require.NoError(t, c.Stop())
		return c
	}
	t.Run("with all", func(t *testing.T) { try(t, "cold", needs...) })
	for i, missing := range needs {
		name := capabilityNames[missing]
		t.Run("without "+name, func(t *testing.T) {
			c := try(t, u.load.Name(), needs[1-i])
			if !strings.Contains(c.Output(), name) {
				t.Errorf("the log does not name %s:\n%s", name, c.Output())
			}
		})
	}
}

// Once started the probe needs no capability, where the kernel lets whoever has
// a map's descriptor use it (Linux 5.19): it could run on after they are gone.
func TestRunningNeedsNoCapability(t *testing.T) {
	load := newLoad(t, "dropped")
	eachHook(t, func(t *testing.T, hook string) {
		o := options(t, hook, load)
		o.GroupBy = probe.GroupByProcess // which writes to the maps as well
		p := open(t, o)
		made, err := load.Run("fork", "20", "10")
		require.NoError(t, err)
		failed := make(chan error)
		go func() {
			runtime.LockOSThread() // and never unlock: the thread has no capabilities any more
			failed <- runWithoutCapabilities(p, made)
		}()
		require.NoError(t, <-failed)
	})
}

func runWithoutCapabilities(p *probe.Probe, made uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("drop all capabilities: %w", err)
	}
	switch _, err := probe.Start(context.Background(), probe.Options{}); {
	case err == nil:
		return errors.New("another probe started without capabilities")
	case !strings.Contains(err.Error(), "CAP_BPF"):
		return fmt.Errorf("starting without capabilities does not name CAP_BPF: %w", err)
	}
	var r reader
	if _, err := p.Read(time.Now().Add(time.Second), int(made), &r); err != nil {
		return err
	}
	s, err := p.Snapshot()
	if err != nil {
		return err
	}
	if counted(s) != made {
		return fmt.Errorf("%d calls counted, %d made", counted(s), made)
	}
	if err := p.Detach(); err != nil {
		return err
	}
	return p.Close()
}
