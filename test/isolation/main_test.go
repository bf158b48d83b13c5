// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// limit is how long a test waits for what takes seconds on a host that has nothing else
// to do.
const limit = 20 * time.Second

// loadPath is the compiled load.
var loadPath string

func TestMain(m *testing.M) {
	folder, err := compile()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(folder)
		os.Exit(code)
	}))
}

func compile() (folder string, err error) {
	if folder, err = os.MkdirTemp("", "isolation"); err != nil {
		return "", err
	}
	loadPath = filepath.Join(folder, "isolation-load")
	return folder, harness.Compile(loadPath, "test/isolation/load/load.c")
}

// place is where programs run: a cgroup of its own, which is an owner, or that of the test.
type place string

// unit makes the cgroup of a systemd unit.
func unit(t *testing.T, name string) place {
	t.Helper()
	return place(caller.Cgroup(t, "/isolation-"+name+".service"))
}

// container makes the cgroup of a container.
func container(t *testing.T, number int) place {
	t.Helper()
	return place(caller.Cgroup(t, fmt.Sprintf("/docker-%064x.scope", number)))
}

// program is a running load.
type program struct{ *harness.Worker }

// start starts a script of the load as a service. It does not outlive the test.
func (p place) start(t *testing.T, service string, script ...string) program {
	t.Helper()
	c := exec.Command(loadPath, script...)
	if p != "" {
		enter := append([]string{"-ec", `echo $$ >"$0/cgroup.procs"; exec "$@"`, string(p), loadPath}, script...)
		c = exec.Command("/bin/sh", enter...)
	}
	c.Env = []string{"OTEL_SERVICE_NAME=" + service}
	w, err := harness.StartWorker(c)
	require.NoError(t, err)
	t.Cleanup(w.Kill)
	return program{w}
}

// run runs a script to its end, and returns how many calls it made.
func (p place) run(t *testing.T, service string, script ...string) uint64 {
	t.Helper()
	return p.start(t, service, script...).end(t)
}

// end waits for the end of a program, and returns how many calls it made.
func (p program) end(t *testing.T) uint64 {
	t.Helper()
	output, err := p.Stop()
	require.NoError(t, err)
	return lastNumber(t, output)
}

// ask gives the program a line.
func (p program) ask(t *testing.T, line string) {
	t.Helper()
	_, err := io.WriteString(p.In, line+"\n")
	require.NoError(t, err)
}

// answer waits for a number.
func (p program) answer(t *testing.T) uint64 {
	t.Helper()
	line, err := p.Out.ReadString('\n')
	if err != nil {
		_, ended := p.Stop()
		require.NoError(t, errors.Join(err, ended))
	}
	return lastNumber(t, line)
}

func lastNumber(t *testing.T, output string) uint64 {
	t.Helper()
	fields := strings.Fields(output)
	require.NotEmpty(t, fields, "the load reports no number of calls")
	n, err := strconv.ParseUint(fields[len(fields)-1], 10, 64)
	require.NoError(t, err)
	return n
}
