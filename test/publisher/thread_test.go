// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// model is a way to build the publisher of thread contexts.
type model struct {
	compiler string // of the library and the program
	program  []string
	library  []string // flags of the library; nil if the program contains the publisher
	load     bool     // the program loads the library while it runs
	tunables string   // of glibc
}

// The models of thread-local storage that OTEP 4947 asks for.
var models = map[string]model{
	"local exec":             {compiler: "gcc", program: []string{"-rdynamic"}},
	"local exec, no PIE":     {compiler: "gcc", program: []string{"-rdynamic", "-no-pie"}},
	"static":                 {compiler: "gcc", program: []string{"-static"}},
	"static PIE":             {compiler: "gcc", program: []string{"-static-pie"}},
	"linked descriptor":      {compiler: "gcc", library: descriptors},
	"linked general dynamic": {compiler: "gcc", library: general},
	"linked initial exec":    {compiler: "gcc", library: []string{"-ftls-model=initial-exec"}},
	"loaded descriptor":      {compiler: "gcc", library: descriptors, load: true},
	"loaded general dynamic": {compiler: "gcc", library: general, load: true},
	"loaded initial exec":    {compiler: "gcc", library: []string{"-ftls-model=initial-exec"}, load: true},
	"loaded hidden":          {compiler: "gcc", library: append([]string{"-Wl,-Bsymbolic"}, descriptors...), load: true},
	"loaded descriptor, dynamic": {
		compiler: "gcc", library: append([]string{"-mgeneral-regs-only"}, descriptors...), load: true, tunables: "glibc.rtld.optional_static_tls=0",
	},
	// The heap of such a program, with the arguments of descriptors, is at low addresses.
	"loaded descriptor, dynamic, no PIE": {
		compiler: "gcc", program: []string{"-no-pie"}, library: append([]string{"-mgeneral-regs-only"}, descriptors...), load: true, tunables: "glibc.rtld.optional_static_tls=0",
	},
	"musl static":                 {compiler: "musl-gcc", program: []string{"-static"}},
	"musl local exec":             {compiler: "musl-gcc", program: []string{"-rdynamic"}},
	"musl linked general dynamic": {compiler: "musl-gcc", library: general},
	"musl linked descriptor":      {compiler: "musl-gcc", library: descriptors},
	"musl loaded general dynamic": {compiler: "musl-gcc", library: general, load: true},
	"musl loaded descriptor":      {compiler: "musl-gcc", library: descriptors, load: true},
}

var descriptors, general = dialects()

// dialects returns the flags for descriptors and for the older general dynamic model. On
// arm64 descriptors are the default.
func dialects() (descriptors, general []string) {
	if runtime.GOARCH == "arm64" {
		return []string{"-mtls-dialect=desc"}, []string{"-mtls-dialect=trad"}
	}
	return []string{"-mtls-dialect=gnu2"}, []string{"-mtls-dialect=gnu"}
}

// build builds the publisher, and returns its path.
func (m model) build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	executable, library := filepath.Join(dir, "publisher"), filepath.Join(dir, "libcontext.so")
	context := filepath.Join(folder("testdata"), "context.c")
	args := append([]string{"-O1", "-Wall", "-Werror", "-o", executable, filepath.Join(folder("testdata"), "publisher.c")}, m.program...)
	switch {
	case m.library == nil:
		args = append(args, context)
	case m.load:
		args = append(args, `-DLIBRARY="`+library+`"`)
	default:
		args = append(args, library, "-Wl,-rpath,"+dir)
	}
	if m.library != nil {
		run(t, exec.Command(m.compiler, slices.Concat([]string{"-O1", "-Wall", "-Werror", "-fPIC", "-shared", "-o", library, context}, m.library)...))
	}
	run(t, exec.Command(m.compiler, append(args, "-pthread", "-ldl")...))
	return executable
}

func TestThreadContexts(t *testing.T) {
	for name, m := range models {
		t.Run(name, func(t *testing.T) {
			executable := m.build(t)
			r := watch(t, executable)
			command := exec.Command(executable)
			command.Env = append(os.Environ(), "GLIBC_TUNABLES="+m.tunables)
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
		"thread": models["loaded descriptor"].build(t),
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
	executable := models["loaded general dynamic"].build(t)
	r := watchWith(t, executable, probe.Options{Hook: probe.HookRawTracepoint})
	if r.ObservesContexts() {
		t.Fatal("the hook observes contexts")
	}
	p := start(t, exec.Command(executable, "9000"))
	r.awaitPublished(t, p.command.Process.Pid, record.ProcessKey{})
	p.proceed(t)
	check(t, p.finish(t), r.take(t), record.SourceThreadContext)
}
