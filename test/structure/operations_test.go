// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A row of a table of errors begins with the text in code.
var errorRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")

// Who looks for an error finds it: each text that the page on operations explains is one
// that the code writes.
func TestErrorsOfTheDocumentsExist(t *testing.T) {
	_, section, found := strings.Cut(read(t, "docs/operations.md"), "\n## Troubleshooting\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := errorRow.FindAllStringSubmatch(section, -1)
	if !found || len(rows) < 20 {
		t.Fatalf("docs/operations.md explains %d errors", len(rows))
	}
	texts := literals(t, "internal/probe", "internal/publisher", "receiver/getsockoptreceiver")
	for _, row := range rows {
		if !strings.Contains(texts, row[1]) {
			t.Errorf("no error has the text %q", row[1])
		}
	}
}

// literals are the strings in the code of folders, a line each.
func literals(t *testing.T, folders ...string) string {
	t.Helper()
	var all strings.Builder
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					text, err := strconv.Unquote(literal.Value)
					if err != nil {
						t.Errorf("%s: %v", path, err)
					}
					all.WriteString(text + "\n")
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}
