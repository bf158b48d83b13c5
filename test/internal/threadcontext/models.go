// SPDX-License-Identifier: Apache-2.0

package threadcontext

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// Model is a way to build the publisher.
type Model struct {
	Musl     bool     // with musl, otherwise with glibc
	program  []string // flags of the program
	library  []string // flags of the library; nil if the program contains the publisher
	load     bool     // the program loads the library while it runs
	Tunables string   // of glibc
}

// Models returns the models for an architecture.
func Models(arch string) map[string]Model {
	descriptors, general := dialects(arch)
	initial := []string{"-ftls-model=initial-exec"}
	// Threads have no space for the variables of such a library beside those of the program.
	dynamic, withoutSpace := append([]string{"-mgeneral-regs-only"}, descriptors...), "glibc.rtld.optional_static_tls=0"
	return map[string]Model{
		"local exec":                 {program: []string{"-rdynamic"}},
		"local exec, no PIE":         {program: []string{"-rdynamic", "-no-pie"}},
		"static":                     {program: []string{"-static"}},
		"static PIE":                 {program: []string{"-static-pie"}},
		"linked descriptor":          {library: descriptors},
		"linked general dynamic":     {library: general},
		"linked initial exec":        {library: initial},
		"loaded descriptor":          {library: descriptors, load: true},
		"loaded general dynamic":     {library: general, load: true},
		"loaded initial exec":        {library: initial, load: true},
		"loaded hidden":              {library: append([]string{"-Wl,-Bsymbolic"}, descriptors...), load: true},
		"loaded descriptor, dynamic": {library: dynamic, load: true, Tunables: withoutSpace},
		// The heap of such a program, with the arguments of descriptors, is at low addresses.
		"loaded descriptor, dynamic, no PIE": {program: []string{"-no-pie"}, library: dynamic, load: true, Tunables: withoutSpace},

		"musl static":                 {Musl: true, program: []string{"-static"}},
		"musl local exec":             {Musl: true, program: []string{"-rdynamic"}},
		"musl linked general dynamic": {Musl: true, library: general},
		"musl linked descriptor":      {Musl: true, library: descriptors},
		"musl loaded general dynamic": {Musl: true, library: general, load: true},
		"musl loaded descriptor":      {Musl: true, library: descriptors, load: true},
	}
}

// dialects returns the flags for descriptors and for the older general dynamic model. On
// arm64 descriptors are the default.
func dialects(arch string) (descriptors, general []string) {
	if arch == "arm64" {
		return []string{"-mtls-dialect=desc"}, []string{"-mtls-dialect=trad"}
	}
	return []string{"-mtls-dialect=gnu2"}, []string{"-mtls-dialect=gnu"}
}

// The files that Build makes.
const (
	Program = "publisher"
	Library = "libcontext.so"
)

// Built is the variable with the folder of publishers that were built before, for a machine
// without a compiler: the models in a folder each of Folder, and test/publisher/otelprogram.
const (
	Built     = "PUBLISHERS"
	Folder    = "thread"
	GoProgram = "otelprogram"
)

// Build builds the publisher with a compiler in a folder, which is at the path installed
// when it runs.
func (m Model) Build(compiler, folder, installed string) error {
	sources := harness.File("test/publisher/testdata")
	flags := []string{"-O1", "-Wall", "-Werror"}
	context, library := filepath.Join(sources, "context.c"), filepath.Join(folder, Library)
	args := slices.Concat(flags, []string{"-o", filepath.Join(folder, Program), filepath.Join(sources, "publisher.c")}, m.program)
	switch {
	case m.library == nil:
		args = append(args, context)
	case m.load:
		args = append(args, `-DLIBRARY="`+filepath.Join(installed, Library)+`"`)
	default:
		args = append(args, library, "-Wl,-rpath,"+installed)
	}
	if m.library != nil {
		if err := run(compiler, slices.Concat(flags, []string{"-fPIC", "-shared", "-Wl,-soname," + Library, "-o", library, context}, m.library)); err != nil {
			return err
		}
	}
	return run(compiler, append(args, "-pthread", "-ldl"))
}

func run(compiler string, args []string) error {
	if out, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w\n%s", compiler, args, err, out)
	}
	return nil
}
