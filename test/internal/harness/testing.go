// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Application builds a program that is instrumented with OpenTelemetry, and returns its
// path: test/publisher/otelprogram.
func Application(t testing.TB) string {
	t.Helper()
	return GoProgram(t, "test/publisher/otelprogram", "CGO_ENABLED=0")
}

// GoProgram builds the Go program in a folder of the repository, which is a module of its
// own, with a variable of the environment and flags. It returns the path of the executable,
// which has the name of the folder.
func GoProgram(t testing.TB, folder, variable string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(folder))
	build := exec.Command("go", slices.Concat([]string{"build", "-o", path}, flags, []string{"."})...)
	build.Dir, build.Env = File(folder), append(os.Environ(), variable)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", folder, err, out)
	}
	return path
}

// Delayed is a standard input that has a line after a time.
type Delayed struct {
	After time.Duration
	Line  string
}

// Read returns the line, and then io.EOF.
func (d *Delayed) Read(b []byte) (int, error) {
	if d.Line == "" {
		return 0, io.EOF
	}
	time.Sleep(d.After)
	n := copy(b, d.Line)
	d.Line = d.Line[n:]
	return n, nil
}

// Run starts a program that must not outlive the test. Its output is logged when the
// test fails.
func Run(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", cmd.Path, p.Output())
		}
	})
	return p
}

// Eventually waits until a condition holds. Notes are logged if it does not.
func Eventually(t testing.TB, limit time.Duration, what string, holds func() bool, notes ...func() string) {
	t.Helper()
	err := Await(limit, func() error {
		if holds() {
			return nil
		}
		return errors.New(what)
	})
	if err != nil {
		for _, note := range notes {
			t.Log(note())
		}
		t.Fatal(err)
	}
}

// WriteFile makes a file in a folder of the test's own.
func WriteFile(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Address is FreeAddress for a test.
func Address(t testing.TB) string {
	t.Helper()
	address, err := FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// Port is the port of a free address.
func Port(t testing.TB) string {
	t.Helper()
	_, port, err := net.SplitHostPort(Address(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Built is the path of a program that make builds: Collector or Jaeger.
func Built(t testing.TB, program func() (string, error)) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
