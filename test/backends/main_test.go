// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// full makes the tests as large as the numbers that the receiver promises. Reduced ones
// check the same.
var full = flag.Bool("full", false, "make as many calls and processes as the receiver promises to count: 3,000,000 and 20,000")

func size(reduced, whole int) int {
	if *full {
		return whole
	}
	return reduced
}

// limit is how long a test waits for anything. It is no expected duration.
const limit = time.Minute

func TestMain(m *testing.M) {
	caller.Main()
	goleak.VerifyTestMain(m)
}

// onlyCallers selects the known program, so that other programs of the host are not
// counted.
func onlyCallers(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return "{executables: [" + filepath.Base(exe) + "]}"
}

// command is the known program as a service.
func command(t *testing.T, service, script string) *exec.Cmd {
	t.Helper()
	// Built with the race detector it would wait for a second at its end.
	return caller.Command(t, script, "OTEL_SERVICE_NAME="+service, "GORACE=atexit_sleep_ms=0")
}

// together runs programs at the same time, to their ends.
func together(t *testing.T, commands ...*exec.Cmd) {
	t.Helper()
	output := make([]bytes.Buffer, len(commands))
	for i, c := range commands {
		c.Stdout, c.Stderr = &output[i], &output[i]
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range commands {
		if err := c.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", c.Path, err, &output[i])
		}
	}
}

// load makes calls from two processes as fast as they can, each tenth failing.
func load(t *testing.T, service string, calls int) {
	t.Helper()
	script := "loop:" + strconv.Itoa(calls/2)
	together(t, command(t, service, script), command(t, service, script))
}
