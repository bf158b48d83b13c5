// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var (
	// semantic is a version as this project has them: -dev is not released yet.
	semantic = regexp.MustCompile(`^(\d+)\.(\d+)\.(\d+)(-dev)?$`)
	released = regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$`)
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// numbers are major, minor and patch of a version, which compare in that order.
func numbers(t *testing.T, version string) []int {
	t.Helper()
	match := semantic.FindStringSubmatch(version)
	if match == nil {
		t.Fatalf("%q is not a version such as 1.2.3 or 1.2.3-dev", version)
	}
	var n []int
	for _, digits := range match[1:4] {
		i, err := strconv.Atoi(digits)
		if err != nil {
			t.Fatal(err)
		}
		n = append(n, i)
	}
	return n
}

// VERSION is the source; what cannot read a file repeats it.
func TestVersionsAgree(t *testing.T) {
	version := strings.TrimSuffix(read(t, "VERSION"), "\n")
	release, development := strings.CutSuffix(version, "-dev")

	for _, name := range slices.Concat(distributions, []string{gateways}) {
		builder := readBuilder(t, name)
		if builder.Dist["version"] != version {
			t.Errorf("dist.version in %s is %s, VERSION is %s", name, builder.Dist["version"], version)
		}
		if name == gateways {
			continue // it has no receiver for calls
		}
		want := strings.TrimSuffix(module, "/") + " v" + version
		if !slices.ContainsFunc(builder.Receivers, func(m builderModule) bool { return m.Gomod == want }) {
			t.Errorf("%s has no receiver with gomod %s", name, want)
		}
		for _, m := range builder.modules() {
			if m.Path != "" && m.Gomod != want {
				t.Errorf("%s has gomod %s, want %s", name, m.Gomod, want)
			}
		}
	}

	var manifest struct {
		SchemaURL string `yaml:"schema_url"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "model/manifest.yaml")), &manifest); err != nil {
		t.Fatal(err)
	}
	if want := "https://" + module + "schemas/" + release; manifest.SchemaURL != want {
		t.Errorf("schema_url in model/manifest.yaml is %s, want %s", manifest.SchemaURL, want)
	}

	changelog := read(t, "CHANGELOG.md")
	if !strings.Contains(changelog, "\n## [Unreleased]\n") {
		t.Error("CHANGELOG.md has no section [Unreleased]")
	}
	last := []int{0, 0, 0}
	for _, match := range released.FindAllStringSubmatch(changelog, -1) {
		if n := numbers(t, match[1]); slices.Compare(n, last) > 0 {
			last = n
		}
		if !strings.Contains(changelog, "\n["+match[1]+"]: https://") {
			t.Errorf("CHANGELOG.md has no link for %s", match[1])
		}
	}
	switch order := slices.Compare(numbers(t, version), last); {
	case development && order <= 0:
		t.Errorf("VERSION is %s, and CHANGELOG.md has the release %v already", version, last)
	case !development && order != 0:
		t.Errorf("VERSION is %s, the last release in CHANGELOG.md %v", version, last)
	}
}
