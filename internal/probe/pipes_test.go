// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"io"
	"os/exec"
	"testing"
)

// startPiped starts a program, and returns its standard input and output.
func startPiped(t *testing.T, c *exec.Cmd) (io.WriteCloser, *bufio.Reader) {
	t.Helper()
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return in, bufio.NewReader(out)
}
