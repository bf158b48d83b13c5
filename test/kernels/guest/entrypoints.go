// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

// unsupported is how test/kernels/entrypoints exits when the kernel lacks the entry point.
const unsupported = 77

// call is one call of an entry point: as the program that made it reports, or as it was
// seen. Both are equal, or the receiver is wrong.
type call struct {
	name   string // of the option; its number when it has none
	level  int32
	option int32
	result int64
	value  string // hexadecimal; empty when the call failed
	entry  string
	thread int64
}

// visit is one run of an entry point.
type visit struct {
	entryPoint report.EntryPoint
	pid        int
	made       []call
}

// runEntryPoint runs an entry point to its end.
func runEntryPoint(d report.EntryPoint) (*visit, error) {
	var output, stderr bytes.Buffer
	c := exec.Command(d.Program, d.Argument)
	c.Env = []string{"OTEL_SERVICE_NAME=" + serviceOf(d)}
	c.Stdout, c.Stderr = &output, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == unsupported {
		return nil, errOutcome{report.Unsupported, errors.New(strings.TrimSpace(stderr.String()))}
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", d.Program, d.Argument, err, stderr.Bytes())
	}
	v := visit{entryPoint: d, pid: c.Process.Pid}
	for line := range strings.Lines(output.String()) {
		made, err := parseCall(strings.Fields(line))
		if err != nil {
			return nil, fmt.Errorf("%s %s: %q: %w", d.Program, d.Argument, line, err)
		}
		made.entry = d.Entry
		made.thread = int64(v.pid)
		v.made = append(v.made, made)
	}
	if len(v.made) != report.CallsPerEntryPoint {
		return nil, fmt.Errorf("%s %s made %d calls, want %d", d.Program, d.Argument, len(v.made), report.CallsPerEntryPoint)
	}
	return &v, nil
}

// serviceOf names the service that an entry point's calls are counted under.
func serviceOf(d report.EntryPoint) string { return "entrypoint-" + d.Name }

func parseCall(fields []string) (call, error) {
	if len(fields) < 4 || len(fields) > 5 {
		return call{}, errors.New("not a call")
	}
	c := call{name: fields[0]}
	var numbers [3]int64
	for i := range numbers {
		n, err := strconv.ParseInt(fields[1+i], 10, 32)
		if err != nil {
			return call{}, err
		}
		numbers[i] = n
	}
	c.level, c.option, c.result = int32(numbers[0]), int32(numbers[1]), numbers[2]
	if len(fields) == 5 {
		if _, err := hex.DecodeString(fields[4]); err != nil {
			return call{}, err
		}
		c.value = fields[4]
	}
	return c, nil
}

// compare returns how what was seen, in its order, differs from what was done.
func (v *visit) compare(seen []call) error {
	if len(seen) == 0 {
		return errOutcome{report.Blind, errors.New("no call was seen")}
	}
	if len(seen) != len(v.made) {
		return fmt.Errorf("%d calls seen, want %d", len(seen), len(v.made))
	}
	for i, made := range v.made {
		if v.entryPoint.OtherThread {
			made.thread = seen[i].thread
		}
		if seen[i] != made {
			return fmt.Errorf("call %d seen as %+v, made as %+v", i+1, seen[i], made)
		}
	}
	return nil
}
