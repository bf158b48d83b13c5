// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/getsockopt/getsockoptreceiver/internal/caller"
)

func TestMain(m *testing.M) {
	caller.Main()
	goleak.VerifyTestMain(m)
}

// file returns the absolute path of a file of the repository.
func file(t *testing.T, path string) string {
	t.Helper()
	absolute, err := filepath.Abs(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return absolute
}

// binary returns the path of a program that make builds.
func binary(t *testing.T, path, target string) string {
	t.Helper()
	absolute := file(t, path)
	if _, err := os.Stat(absolute); err != nil {
		t.Fatalf("%v: run `make %s`, or `make test`, which does", err, target)
	}
	return absolute
}

// eventually waits until a condition holds. Notes are what to look at if it
// does not.
func eventually(t *testing.T, limit time.Duration, what string, holds func() bool, notes ...func() string) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			for _, note := range notes {
				t.Log(note())
			}
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// write makes a file in a folder of the test's own.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
