// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/internal/threadcontext"
)

var models = threadcontext.Models(runtime.GOARCH)

// buildModel builds the publisher of thread contexts in a model, and returns its path.
func buildModel(t *testing.T, name string) string {
	t.Helper()
	compiler, dir := "gcc", t.TempDir()
	if models[name].Musl {
		compiler = "musl-gcc"
	}
	if err := models[name].Build(compiler, dir, dir); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, threadcontext.Program)
}

// executables builds the publishers of all models, or returns those that were built.
func executables(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	if folder := os.Getenv(threadcontext.Built); folder != "" {
		folder = filepath.Join(folder, threadcontext.Folder)
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			found[e.Name()] = filepath.Join(folder, e.Name(), threadcontext.Program)
		}
		return found
	}
	for name := range models {
		found[name] = buildModel(t, name)
	}
	return found
}

func TestThreadContexts(t *testing.T) {
	r := watch(t, threadcontext.Program)
	for name, executable := range executables(t) {
		t.Run(name, func(t *testing.T) {
			command := exec.Command(executable)
			command.Env = append(os.Environ(), "GLIBC_TUNABLES="+models[name].Tunables)
			if r.Hook() != probe.HookTracepoint { // which does not observe them
				command.Env = append(command.Env, "CALLS_32BIT=1")
			}
			p := start(t, command)
			first := r.awaitPublished(t, command.Process.Pid, record.ProcessKey{})
			p.proceed(t)
			r.awaitPublished(t, command.Process.Pid, first) // after its exec
			p.proceed(t)
			check(t, p.finish(t), r.take(t), record.SourceThreadContext)
		})
	}
}

// In namespaces of its own a thread has other ids, and a process other paths.
func TestPublishersInNamespaces(t *testing.T) {
	for name, executable := range map[string]string{
		"go":     harness.Application(t),
		"thread": buildModel(t, "loaded descriptor"),
	} {
		t.Run(name, func(t *testing.T) {
			r := watch(t, executable)
			source := record.SourceThreadContext
			arguments := []string{"--pid", "--mount", "--mount-proc", "--fork", executable}
			if name == "go" {
				source = record.SourceGoLabels
			} else {
				arguments = append(arguments, "9000") // does not exec
			}
			p := start(t, exec.Command("unshare", arguments...))
			r.awaitPublished(t, childOf(t, p.command.Process.Pid), record.ProcessKey{})
			p.proceed(t)
			check(t, p.finish(t), r.take(t), source)
		})
	}
}

// childOf waits for the child of a process, and returns its pid.
func childOf(t *testing.T, pid int) (child int) {
	t.Helper()
	harness.Eventually(t, limit, "a child runs", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			t.Fatal(err)
		}
		n, err := fmt.Sscan(string(b), &child)
		return n == 1 && err == nil
	})
	return child
}

// With the hook raw_tracepoint no prctl(2) is observed: publishers are found by looking
// again.
func TestPublishersAreFoundWithoutNotice(t *testing.T) {
	executable := buildModel(t, "loaded general dynamic")
	r := watchWith(t, executable, probe.Options{Hook: probe.HookRawTracepoint})
	if r.ObservesContexts() {
		t.Fatal("the hook observes contexts")
	}
	p := start(t, exec.Command(executable, "9000"))
	r.awaitPublished(t, p.command.Process.Pid, record.ProcessKey{})
	p.proceed(t)
	check(t, p.finish(t), r.take(t), record.SourceThreadContext)
}
