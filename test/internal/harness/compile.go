// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Compile compiles a program in C.
func Compile(path string, source []byte, flags ...string) error {
	cc := exec.Command("cc", append([]string{"-O1", "-o", path, "-x", "c", "-"}, flags...)...)
	cc.Stdin = bytes.NewReader(source)
	if output, err := cc.CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w\n%s", filepath.Base(path), err, output)
	}
	return nil
}
