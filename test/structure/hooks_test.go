// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/confmap"
	"go.yaml.in/yaml/v3"

	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver"
)

// hookConstants are the hooks that the probe has, by the names of their constants.
func hookConstants(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "internal/probe/options.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	hooks := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Hook") {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		hooks[spec.Names[0].Name] = value
		return true
	})
	if len(hooks) < 5 {
		t.Fatalf("found the hooks %v only", hooks)
	}
	return hooks
}

// A hook that was added to the probe can be configured, is reported, described, and
// tried on every kernel.
func TestHooksAreKnownEverywhere(t *testing.T) {
	var metadata struct {
		Attributes struct {
			Hook struct{ Enum []string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "receiver/getsockoptreceiver/metadata.yaml")), &metadata); err != nil {
		t.Fatal(err)
	}
	cases := read(t, "test/kernels/cases.go")
	for constant, hook := range hookConstants(t) {
		t.Run(hook, func(t *testing.T) {
			config := getsockoptreceiver.NewFactory().CreateDefaultConfig().(*getsockoptreceiver.Config)
			config.Hook = hook
			if err := confmap.Validate(config); err != nil {
				t.Error(err)
			}
			if !strings.Contains(cases, "probe."+constant) {
				t.Errorf("test/kernels/cases.go has no probe.%s", constant)
			}
			if hook == "auto" { // which is none of its own
				return
			}
			if !slices.Contains(metadata.Attributes.Hook.Enum, hook) {
				t.Error("the attribute hook in metadata.yaml has no such value")
			}
			for _, document := range []string{"README.md", "docs/privileges.md", "docs/accounting.md"} {
				t.Run(document, func(t *testing.T) {
					if !strings.Contains(read(t, document), "`"+hook+"`") {
						t.Errorf("%s does not mention it", document)
					}
				})
			}
		})
	}
}
