// SPDX-License-Identifier: Apache-2.0

package tlsvariable

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

const variable = "otel_thread_ctx_v1"

var machine = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]

// source has other thread-local variables around the one to find.
const source = `
__thread int before[5] = {1};
__attribute__((visibility("default"))) __thread void *otel_thread_ctx_v1;
__thread long otel_thread_ctx_v10;
void set(void *p) { otel_thread_ctx_v1 = p; }
`

// compile builds a file from C, and returns its path.
func compile(t testing.TB, source string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "source.c"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := exec.Command("cc", append([]string{"-O1", "-o", out, in}, flags...)...).CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, b)
	}
	return out
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is found agrees with the standard library's reader of ELF.
func TestFind(t *testing.T) {
	descriptors, general := "-mtls-dialect=gnu2", "-mtls-dialect=gnu"
	if runtime.GOARCH == "arm64" {
		descriptors, general = "-mtls-dialect=desc", "-mtls-dialect=trad"
	}
	library := []string{"-shared", "-fPIC"}
	program := source + "int main(void) { set(0); return 0; }"
	reference := "extern __thread void *otel_thread_ctx_v1; int main(void) { otel_thread_ctx_v1 = 0; return 0; }"
	for name, test := range map[string]struct {
		source  string
		flags   []string
		defined bool
		slots   []Access
	}{
		"descriptor":               {source, append(library, descriptors), true, []Access{AccessSlotDescriptor}},
		"descriptor, DT_HASH":      {source, append(library, descriptors, "-Wl,--hash-style=sysv"), true, []Access{AccessSlotDescriptor}},
		"descriptor, no symbol":    {source, append(library, descriptors, "-Wl,-Bsymbolic"), true, []Access{AccessSlotDescriptor}},
		"general dynamic":          {source, append(library, general), true, []Access{AccessSlotIndex}},
		"general dynamic, local":   {source, append(library, general, "-Wl,-Bsymbolic"), true, []Access{AccessSlotIndex}},
		"initial exec":             {source, append(library, "-ftls-model=initial-exec"), true, []Access{AccessSlotOffset}},
		"stripped":                 {source, append(library, descriptors, "-s"), true, []Access{AccessSlotDescriptor}},
		"program":                  {program, []string{"-rdynamic"}, true, nil},
		"program without PIE":      {program, []string{"-rdynamic", "-no-pie"}, true, nil},
		"static program":           {program, []string{"-static"}, true, nil},
		"static program, stripped": {program, []string{"-static", "-s"}, false, nil},
		"hidden in a program":      {program, nil, false, nil},
		"reference":                {reference, []string{compile(t, source, append(library, descriptors)...)}, false, []Access{AccessSlotOffset}},
		"nothing":                  {"int main(void) { return 0; }", nil, false, nil},
		"another library":          {"__thread int x; int *f(void) { return &x; }", library, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := compile(t, test.source, slices.Clone(test.flags)...)
			got, err := Find(bytes.NewReader(read(t, path)), machine, variable)
			if err != nil {
				t.Fatal(err)
			}
			var accesses []Access
			for _, s := range got.Slots {
				accesses = append(accesses, s.Access)
			}
			if got.Defined != test.defined || !slices.Equal(accesses, test.slots) {
				t.Fatalf("defined %t with %v, want %t with %v", got.Defined, accesses, test.defined, test.slots)
			}
			compare(t, path, got)
		})
	}
}

func compare(t *testing.T, path string, got File) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	linker := ""
	if s := f.Section(".interp"); s != nil {
		b, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		linker = string(bytes.TrimRight(b, "\x00"))
	}
	if got.Interpreter != linker || got.Dynamic != (f.Section(".dynamic") != nil) {
		t.Errorf("dynamic linker %q, dynamic %t, want %q", got.Interpreter, got.Dynamic, linker)
	}
	if !got.Defined {
		return
	}
	symbols, err := f.Symbols()
	if errors.Is(err, elf.ErrNoSymbols) {
		symbols, err = f.DynamicSymbols()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name == variable && (s.Value != got.Offset || elf.ST_TYPE(s.Info) != elf.STT_TLS) {
			t.Errorf("at %#x, want %#x", got.Offset, s.Value)
		}
	}
}

func TestFindRefuses(t *testing.T) {
	valid := read(t, compile(t, source, "-shared", "-fPIC"))
	for name, change := range map[string]func([]byte) []byte{
		"empty":        func([]byte) []byte { return nil },
		"script":       func([]byte) []byte { return []byte("#!/bin/sh\n" + string(make([]byte, 100))) },
		"32 bits":      func(b []byte) []byte { b[elf.EI_CLASS] = byte(elf.ELFCLASS32); return b },
		"big-endian":   func(b []byte) []byte { b[elf.EI_DATA] = byte(elf.ELFDATA2MSB); return b },
		"other":        func(b []byte) []byte { b[18] = byte(elf.EM_386); return b },
		"many headers": func(b []byte) []byte { b[56], b[57] = 0xff, 0xff; return b },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Find(bytes.NewReader(change(bytes.Clone(valid))), machine, variable)
			if !errors.Is(err, ErrFormat) {
				t.Errorf("got %v, want %v", err, ErrFormat)
			}
		})
	}
}

// Any bytes are read without a panic and without an end far away.
func FuzzFind(f *testing.F) {
	for _, flags := range [][]string{{"-shared", "-fPIC"}, {"-shared", "-fPIC", "-ftls-model=initial-exec", "-Wl,--hash-style=sysv"}} {
		f.Add(read(f, compile(f, source, flags...)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Find(bytes.NewReader(b), machine, variable)
		if err == nil && len(got.Slots) > slotsMax {
			t.Errorf("%d slots", len(got.Slots))
		}
	})
}
