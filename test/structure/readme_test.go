// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// A newcomer copies and pastes nothing that fails: each command is one that
// the Makefile has, on files that are there.
func TestCommandsOfTheReadmeExist(t *testing.T) {
	var commands []string
	for _, block := range shellBlock.FindAllStringSubmatch(readme(t), -1) {
		commands = append(commands, strings.Split(strings.TrimSpace(block[1]), "\n")...)
	}
	if len(commands) < 2 || commands[0] != "make run" || commands[1] != "make test" {
		t.Errorf("commands %q, want make run and make test first", commands)
	}
	for _, command := range commands {
		words := strings.Fields(command)
		if words[0] != "make" {
			t.Errorf("%q: only make is known here", command)
			continue
		}
		for _, word := range words[1:] {
			if _, path, found := strings.Cut(word, "="); found {
				checkFile(t, path)
			}
		}
		// -n prints what would be done.
		cmd := exec.Command("make", append([]string{"-n", "-C", root}, words[1:]...)...)
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%q: %v\n%s", command, err, output)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

func TestLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	var documents []string
	for _, pattern := range []string{"*.md", ".github/*.md", "docs/*.md", "test/*.md", "receiver/getsockoptreceiver/README.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		documents = append(documents, found...)
	}
	for _, document := range documents {
		b, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		folder, err := filepath.Rel(root, filepath.Dir(document))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(b), -1) {
			checkFile(t, filepath.Join(folder, match[1]))
		}
	}
}

func checkFile(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, path)); err != nil {
		t.Error(err)
	}
}
