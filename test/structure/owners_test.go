// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestCodeOwnersAgree(t *testing.T) {
	var metadata struct {
		Status struct {
			Codeowners struct{ Active []string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "receiver/getsockoptreceiver/metadata.yaml")), &metadata); err != nil {
		t.Fatal(err)
	}
	want := "\n* @" + strings.Join(metadata.Status.Codeowners.Active, " @") + "\n"
	if !strings.Contains(read(t, ".github/CODEOWNERS"), want) {
		t.Errorf(".github/CODEOWNERS has no line %q, as metadata.yaml", want)
	}
}

// The sources of what the kernel loads have a licence that it takes, and the
// repository has its texts.
func TestLicenceOfTheKernelSide(t *testing.T) {
	const licence = "GPL-2.0-only OR BSD-2-Clause"
	for _, pattern := range []string{"bpf/*.[ch]", "test/bench/empty/*.[ch]"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v, %v", pattern, paths, err)
		}
		for _, path := range paths {
			relative, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(read(t, relative), "SPDX-License-Identifier: "+licence+"\n") &&
				!strings.Contains(read(t, relative), "SPDX-License-Identifier: "+licence+" */\n") {
				t.Errorf("%s is not under %s", relative, licence)
			}
		}
	}
	for file, title := range map[string]string{
		"bpf/LICENSE.GPL-2.0":      "GNU GENERAL PUBLIC LICENSE\n                       Version 2",
		"bpf/LICENSE.BSD-2-Clause": "BSD 2-Clause License",
		"LICENSE":                  "Apache License\n                           Version 2.0",
	} {
		t.Run(file, func(t *testing.T) {
			if !strings.Contains(read(t, file), title) {
				t.Errorf("%s is not the text of %q", file, title)
			}
		})
	}
}
