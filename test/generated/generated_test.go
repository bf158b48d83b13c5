// SPDX-License-Identifier: Apache-2.0

package generated

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const root = "../.."

// made are the files to be made again, by the make target that makes them.
var made = map[string][]string{
	"generate-bpf": {
		"bpf/*_bpfel.go",
		"bpf/*_bpfel.o",
		"test/bench/empty/*_bpfel.go",
		"test/bench/empty/*_bpfel.o",
	},
	"generate-receiver": {
		"receiver/getsockoptreceiver/generated_*.go",
		"receiver/getsockoptreceiver/internal/metadata/generated_*.go",
		"receiver/getsockoptreceiver/internal/metadatatest/generated_*.go",
		"receiver/getsockoptreceiver/documentation.md",
		"receiver/getsockoptreceiver/config.schema.json",
		"receiver/getsockoptreceiver/README.md",
	},
	"generate-semconv": {
		"internal/semconv/*_generated.go",
		"docs/semantics.md",
	},
	"generate-options": {
		"internal/sockopt/table_generated.go",
	},
	"generate-dashboards": {
		"deploy/grafana/*.json",
	},
}

func TestCommittedFilesMatchTheirSources(t *testing.T) {
	for target, patterns := range made {
		t.Run(target, func(t *testing.T) {
			again := t.TempDir()
			if err := copyModule(again); err != nil {
				t.Fatal(err)
			}
			committed := files(t, root, patterns)
			for path := range committed {
				if filepath.Ext(path) == ".md" && path != "receiver/getsockoptreceiver/documentation.md" {
					continue // only a part of it is made
				}
				if err := os.Remove(filepath.Join(again, path)); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command("make", "-C", again, target)
			if output, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("make %s: %v\n%s", target, err, output)
			}
			now := files(t, again, patterns)
			for path, want := range now {
				if !bytes.Equal(committed[path], want) {
					t.Errorf("%s is not what its source makes: run `make generate` and commit the result", path)
				}
			}
			for path := range committed {
				if now[path] == nil {
					t.Errorf("%s is made no more", path)
				}
			}
		})
	}
}

// files reads what the patterns match below a folder, each at least one.
func files(t *testing.T, folder string, patterns []string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			t.Fatal(err)
		}
		if len(paths) == 0 {
			t.Errorf("no %s", pattern)
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			relative, err := filepath.Rel(folder, path)
			if err != nil {
				t.Fatal(err)
			}
			all[relative] = b
		}
	}
	return all
}

// copyModule copies what the generators read.
func copyModule(to string) error {
	for _, name := range []string{"Makefile", "go.mod", "go.sum", "tools/go.mod", "tools/go.sum", "tools/dashboards", "bpf", "deploy", "docs", "internal", "model", "receiver", "test/bench/empty"} {
		from := filepath.Join(root, name)
		err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			target := filepath.Join(to, relative)
			if entry.IsDir() {
				return os.MkdirAll(target, 0o755)
			}
			b, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // an editor's, gone meanwhile
			}
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			return os.WriteFile(target, b, 0o644)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
