// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/getsockopt/getsockoptreceiver/test/internal/threadcontext"
	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

// ended is how go test -v reports that a test is over.
var ended = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+)`)

// keptOutput bounds what is kept of a test's output for its report; all of it
// is on the console.
const keptOutput = 8 << 10

// runTests runs tests, and reports each of them and the whole.
func runTests(t report.Tests) {
	// Short, because emulation takes ten times as long.
	c := exec.Command(t.Binary, "-test.v", "-test.short", "-test.run="+t.Only)
	if os.Getenv(report.Everything) == "" {
		c.Args = append(c.Args, "-test.skip="+t.SameEverywhere)
	}
	c.Env = append(os.Environ(), threadcontext.Built+"="+report.Publishers)
	c.Stderr = os.Stdout
	output, err := c.StdoutPipe()
	if err != nil {
		conclude(report.Test(t.Binary), err)
		return
	}
	if err := c.Start(); err != nil {
		conclude(report.Test(t.Binary), err)
		return
	}
	var recent []byte
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fmt.Println(lines.Text())
		m := ended.FindStringSubmatch(lines.Text())
		if m == nil {
			recent = append(append(recent, lines.Bytes()...), '\n')
			recent = recent[max(0, len(recent)-keptOutput):]
			continue
		}
		switch m[1] {
		case "PASS":
			conclude(report.Test(m[2]), nil)
		case "SKIP":
			conclude(report.Test(m[2]), errors.New("skipped: "+lastLines(recent)))
		default:
			conclude(report.Test(m[2]), errors.New(lastLines(recent)))
		}
	}
	conclude(report.Test(t.Binary), errors.Join(lines.Err(), c.Wait()))
}

// lastLines are the end of a test's output, without the verifier's listing of
// instructions.
func lastLines(output []byte) string {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}
