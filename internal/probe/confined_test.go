// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// Variables with which this binary starts a probe, confined or not, and prints the result.
// The eBPF library probes the kernel as soon as the process runs, so it must be confined
// before.
const (
	variableConfine = "GETSOCKOPT_TEST_CONFINE"
	variableStart   = "GETSOCKOPT_TEST_START"
)

const started = "started"

// noSleep keeps the race detector's runtime from sleeping a second at the exit.
const noSleep = "GORACE=atexit_sleep_ms=0"

// withNeededFiles after a hook: no more can be opened than the check asks for.
const withNeededFiles = " with needed files"

// confinements restrict the calling thread, which then executes this binary.
var confinements = map[string]func() error{
	"none":         func() error { return nil },
	"no-bpf":       func() error { return forbid(unix.SYS_BPF, unix.EPERM) },
	"no-bpf-38":    func() error { return forbid(unix.SYS_BPF, unix.ENOSYS) },
	"no-bpf-13":    func() error { return forbid(unix.SYS_BPF, unix.EACCES) },
	"no-bpf-0":     func() error { return forbid(unix.SYS_BPF, 0) },
	"no-freeze":    func() error { return forbid(unix.SYS_BPF, unix.EPERM, unix.BPF_MAP_FREEZE) },
	"no-load":      func() error { return forbid(unix.SYS_BPF, unix.EPERM, unix.BPF_PROG_LOAD) },
	"no-types":     func() error { return forbid(unix.SYS_BPF, unix.EPERM, unix.BPF_BTF_LOAD) },
	"no-perf":      func() error { return forbid(unix.SYS_PERF_EVENT_OPEN, unix.EPERM) },
	"no-proc":      func() error { return unix.Unmount("/proc", unix.MNT_DETACH) },
	"empty-proc":   func() error { return unix.Mount("none", "/proc", "tmpfs", 0, "") },
	"pids-of-proc": func() error { return unix.Mount("proc", "/proc", "proc", 0, "subset=pid") },
	"20-files":     func() error { return limitFiles(20) },
	"40-files":     func() error { return limitFiles(40) },
	"60-files":     func() error { return limitFiles(60) },
}

func forbid(number uint32, errno unix.Errno, command ...uint32) error {
	caller.Filter(unix.SECCOMP_RET_ERRNO|uint32(errno), number, command...)
	return nil
}

func limitFiles(n uint64) error {
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n})
}

func confinedMain() {
	if name := os.Getenv(variableConfine); name != "" {
		fmt.Fprintln(os.Stderr, confineAndExecute(name))
		os.Exit(1)
	}
	hook := os.Getenv(variableStart)
	if hook == "" {
		return
	}
	fmt.Println(startAlone(hook))
	os.Exit(0)
}

func confineAndExecute(name string) error {
	runtime.LockOSThread()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	if err := confinements[name](); err != nil {
		return err
	}
	return unix.Exec(exe, os.Args[:1], []string{variableStart + "=" + os.Getenv(variableStart), noSleep})
}

func startAlone(hook string) error {
	hook, limited := strings.CutSuffix(hook, withNeededFiles)
	if limited {
		open, err := os.ReadDir("/proc/self/fd") // the folder itself among them
		if err == nil {
			err = limitFiles(uint64(len(open) - 1 + descriptorsNeeded))
		}
		if err != nil {
			return err
		}
	}
	p, err := Start(context.Background(), Options{Hook: hook, Spans: true})
	if err != nil {
		return err
	}
	return errors.Join(append(p.Degraded(), errors.New(started), p.Close())...)
}

// startConfined returns the output of a confined process that starts a probe.
func startConfined(t *testing.T, confinement, hook string, attributes *syscall.SysProcAttr) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = []string{variableConfine + "=" + confinement, variableStart + "=" + hook, noSleep}
	cmd.SysProcAttr = attributes
	var stderr bytes.Buffer // where that runtime writes too
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", confinement, err, &stderr)
	}
	return strings.TrimSpace(string(output))
}

// An obstacle for every hook makes one error, which names the obstacle and the setting.
func TestErrorsNameTheCause(t *testing.T) {
	asRootOfANamespace := &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: 0, Size: 1 << 16}},
		GidMappings: []syscall.SysProcIDMap{{HostID: 0, Size: 1 << 16}},
	}
	ownMounts := &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	for _, test := range []struct {
		confinement string
		attributes  *syscall.SysProcAttr
		want        []string
	}{
		{"no-bpf", nil, []string{"seccomp filter forbids bpf(2)", "SystemCallFilter=bpf perf_event_open", "operation not permitted"}},
		{"no-bpf-38", nil, []string{"seccomp filter forbids bpf(2)", "function not implemented"}},
		{"no-bpf-13", nil, []string{"seccomp filter forbids bpf(2)", "permission denied"}},
		{"no-bpf-0", nil, []string{"seccomp filter forbids bpf(2)"}},
		{"no-freeze", nil, []string{"seccomp filter forbids bpf(2), BPF_MAP_FREEZE"}},
		{"no-load", nil, []string{"seccomp filter forbids bpf(2), BPF_PROG_LOAD"}},
		{"no-types", nil, []string{"seccomp filter forbids bpf(2), BPF_BTF_LOAD"}},
		{"none", asRootOfANamespace, []string{"user namespace", "hostUsers: true", "operation not permitted"}},
		{"no-bpf", asRootOfANamespace, []string{"user namespace"}},
		{"no-proc", ownMounts, []string{"mount -t proc proc /proc"}},
		{"empty-proc", ownMounts, []string{"mount -t proc proc /proc"}},
		{"20-files", nil, []string{"limit of 20 open files", "LimitNOFILE="}},
		{"40-files", nil, []string{"limit of 40 open files", "LimitNOFILE="}},
		{"60-files", nil, []string{"limit of 60 open files", "LimitNOFILE="}},
	} {
		t.Run(test.confinement, func(t *testing.T) {
			got := startConfined(t, test.confinement, HookAuto, test.attributes)
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %q", want)
				}
			}
			if strings.Contains(got, "\n") || strings.Contains(got, "locked memory") {
				t.Error("more than one cause")
			}
			if t.Failed() {
				t.Log(got)
			}
		})
	}
}

// A filter that forbids perf_event_open takes one hook away, and the others are
// tried.
func TestStartWithoutPerfEvents(t *testing.T) {
	if got := startConfined(t, "no-perf", HookTracepoint, nil); !strings.Contains(got, "seccomp filter forbids perf_event_open(2)") {
		t.Error(got)
	}
	if got := startConfined(t, "no-perf", HookRawTracepoint, nil); got != started {
		t.Error(got)
	}
}

// The number of descriptors that the check requires is enough.
func TestNeededDescriptorsSuffice(t *testing.T) {
	hooks := append(working(t), HookAuto)
	if testing.Short() { // under emulation
		hooks = []string{HookAuto}
	}
	for _, hook := range hooks {
		if got, want := startConfined(t, "none", hook+withNeededFiles, nil), startConfined(t, "none", hook, nil); got != want {
			t.Errorf("%s: %s, and %s without a limit", hook, got, want)
		}
	}
}

// Of /proc the processes are enough.
func TestProcWithPidsOnly(t *testing.T) {
	ownMounts := &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	for _, hook := range hooksToRepeat(t) {
		if got, want := startConfined(t, "pids-of-proc", hook, ownMounts), startConfined(t, "none", hook, nil); got != want {
			t.Errorf("%s: %s, and %s with all of /proc", hook, got, want)
		}
	}
}
