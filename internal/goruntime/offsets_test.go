// SPDX-License-Identifier: Apache-2.0

package goruntime

import (
	"debug/dwarf"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

func TestOf(t *testing.T) {
	for release, known := range map[string]bool{
		"go1.24":              true,
		"go1.24rc1":           true,
		"go1.24.13":           true,
		"go1.25.1-custom":     true,
		"go1.26.8 X:nodwarf5": true,
		"go1.27.3":            true,
		"go1.23.12":           false, // its labels are a map
		"go1.28":              false,
		"go1.240":             false,
		"go2.24":              false,
		"devel go1.27-a1b2c3": false,
		"":                    false,
		"1.26":                false,
	} {
		if o, found := Of(release); found != known || (o == Offsets{}) == known {
			t.Errorf("%q: %+v, %t, want %t", release, o, found, known)
		}
	}
}

// The offsets of the Go version that runs this test are those in the debug information of
// a program that it builds.
func TestOffsetsAreThoseOfTheRuntime(t *testing.T) {
	dir := t.TempDir()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "main")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := f.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	want, known := Of(runtime.Version())
	if !known {
		t.Fatalf("the offsets of %s are not known: add them", runtime.Version())
	}
	m, g := fieldsOf(t, d, "runtime.m"), fieldsOf(t, d, "runtime.g")
	if got := (Offsets{ProcID: m["procid"], CurG: m["curg"], Labels: g["labels"]}); got != want || g["m"] != 48 {
		t.Errorf("%s has %+v and g.m at %d, want %+v and 48", runtime.Version(), got, g["m"], want)
	}
}

func fieldsOf(t *testing.T, d *dwarf.Data, name string) map[string]uint16 {
	t.Helper()
	fields := make(map[string]uint16)
	for r := d.Reader(); ; {
		e, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			t.Fatalf("no type %s", name)
		}
		if e.Tag != dwarf.TagStructType || e.Val(dwarf.AttrName) != name {
			continue
		}
		typ, err := d.Type(e.Offset)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range typ.(*dwarf.StructType).Field {
			fields[f.Name] = uint16(f.ByteOffset)
		}
		return fields
	}
}
