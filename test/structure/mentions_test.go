// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var (
	codeSpan   = regexp.MustCompile("`([^`\n]+)`")
	pathInRepo = regexp.MustCompile(`^(\.ci|\.github|bpf|config|deploy|docs|hack|internal|model|receiver|test|tools)/[\w./*-]+$`)
	testName   = regexp.MustCompile(`^(Test|Fuzz)\w+$`)
	testFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	identifier = regexp.MustCompile(`^[a-z]+[A-Z]\w*$`)
	word       = regexp.MustCompile(`\w+`)
)

// A recipe is followed to the letter: the files, functions and tests that it names exist.
func TestDocumentsNameWhatExists(t *testing.T) {
	tests, words := map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		b, err := os.ReadFile(path)
		for _, w := range word.FindAll(b, -1) {
			words[string(w)] = true
		}
		for _, match := range testFunc.FindAllSubmatch(b, -1) {
			tests[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range []string{"CONTRIBUTING.md", "RELEASING.md", "SECURITY.md", "docs/development.md", "test/README.md"} {
		for _, match := range codeSpan.FindAllStringSubmatch(read(t, document), -1) {
			name := match[1]
			switch {
			case testName.MatchString(name) && !tests[name]:
				t.Errorf("%s names the test %s, which does not exist", document, name)
			case identifier.MatchString(name) && !words[name]:
				t.Errorf("%s names %s, which is in no Go file", document, name)
			case pathInRepo.MatchString(name):
				if found, err := filepath.Glob(filepath.Join(root, name)); err != nil || len(found) == 0 {
					t.Errorf("%s names %s, which does not exist", document, name)
				}
			}
		}
	}
}
