// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// Compile compiles a file in C of the repository to a program.
func Compile(path, source string, flags ...string) error {
	cc := exec.Command("cc", append([]string{"-O1", "-o", path, File(source)}, flags...)...)
	if output, err := cc.CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w\n%s", filepath.Base(path), err, output)
	}
	return nil
}
