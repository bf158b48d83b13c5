// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// A package comment stands in doc.go, where a reader looks for it, and only there.
func TestPackagesAreDescribedInDocGo(t *testing.T) {
	described := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || strings.HasPrefix(entry.Name(), "dist") || entry.Name() == "testdata"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".go":
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		folder, name := filepath.Split(path)
		switch isDoc := name == "doc.go"; {
		case isDoc:
			described[folder] = file.Doc != nil
		case file.Doc != nil && !ast.IsGenerated(file):
			t.Errorf("%s describes its package: that belongs into doc.go", path)
		}
		if _, seen := described[folder]; !seen {
			described[folder] = false
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for folder, found := range described {
		if !found {
			t.Errorf("%sdoc.go is missing, or does not describe its package", folder)
		}
	}
}
