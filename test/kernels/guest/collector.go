// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

// How long the Collector may take to come up and to go. It starts in seconds
// under emulation, so that these show a hang and no slow machine.
const (
	startTime = 60 * time.Second
	stopTime  = 30 * time.Second
)

// configuration is the Collector's, but for the hook and the server.
const configuration = `
receivers:
  getsockopt:
    hook: %s
    spans: {max_per_second: 0} # every call is a span
    span_attributes:
      socket.entry: {enabled: true}
      socket.option.code: {enabled: true}
      socket.option.level_code: {enabled: true}
      socket.option.value: {enabled: true}
exporters:
  otlp_http:
    endpoint: %s
    encoding: json
    compression: none
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    traces:
      receivers: [getsockopt]
      exporters: [otlp_http]
`

// runCollector goes through every entry point while the Collector runs, stops it, and
// compares what it had sent by then.
func runCollector(binary, hook string, entryPoints []report.EntryPoint) {
	before, err := kernelObjects()
	if err != nil {
		conclude(report.Collector(hook, ""), err)
		return
	}
	server := serve()
	defer server.Close()
	c, err := startCollector(binary, hook, server.URL)
	if err != nil {
		conclude(report.Collector(hook, ""), err)
		return
	}
	visits := make(map[string]*visit)
	for _, d := range entryPoints {
		v, err := runEntryPoint(d)
		if err != nil {
			conclude(report.Collector(hook, d.Name), err)
			continue
		}
		visits[d.Name] = v
	}
	// As a terminal stops it.
	err = errors.Join(c.Stop(syscall.SIGINT, stopTime), before.checkNothingLeft())
	c.Kill()
	for _, d := range entryPoints {
		v := visits[d.Name]
		if v == nil {
			continue
		}
		conclude(report.Collector(hook, d.Name), v.compareSpans(server.spansOf(v.pid)))
	}
	conclude(report.Collector(hook, ""), err)
}

// startCollector returns when the Collector is ready, or has given up.
func startCollector(binary, hook, address string) (*harness.Process, error) {
	file := filepath.Join(os.TempDir(), hook+".yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, hook, address), 0o600); err != nil {
		return nil, err
	}
	// The Collector reports that it is ready just before it subscribes to signals. One that
	// inherits an ignored signal has no handler for it until then.
	signal.Ignore(syscall.SIGINT)
	c, err := harness.Start(exec.Command(binary, "--config", file), os.Stdout)
	if err != nil {
		return nil, err
	}
	if err := c.AwaitOutput(startTime, harness.Ready, 1); err != nil {
		if c.Ended() {
			return nil, errOutcome{report.Refused, errors.New(lastLine(c.Output()))}
		}
		c.Kill()
		return nil, errors.New("the Collector is not ready in time")
	}
	err = c.Await(startTime, "handle SIGINT", func() bool { return handles(c.PID(), syscall.SIGINT) })
	if err != nil {
		c.Kill()
		return nil, err
	}
	return c, nil
}

// handles reports whether a process has a handler for a signal.
func handles(pid int, s syscall.Signal) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	_, handlers, _ := strings.Cut(string(status), "\nSigCgt:")
	handlers, _, _ = strings.Cut(handlers, "\n")
	mask, err := strconv.ParseUint(strings.TrimSpace(handlers), 16, 64)
	return err == nil && mask&(1<<(s-1)) != 0
}

func lastLine(output string) string {
	output = strings.TrimSpace(output)
	return output[strings.LastIndexByte(output, '\n')+1:]
}
