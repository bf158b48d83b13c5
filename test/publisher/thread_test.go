// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
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
