// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

// How long the Collector may take to come up and to go. It starts in seconds
// under emulation, so that these show a hang and no slow machine.
const (
	startTime = 60 * time.Second
	stopTime  = 30 * time.Second
	// The Collector says that it is ready just before it asks to be told of
	// signals: without this it would sometimes die of one.
	settleTime = time.Second
)

// configuration is the Collector's, but for the hook and the server.
const configuration = `
receivers:
  getsockopt:
    hook: %s
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

// runCollector goes through every door while the Collector runs, stops it, and
// compares what it had sent by then.
func runCollector(binary, hook string, doors []report.Door) {
	before, err := kernelObjects()
	if err != nil {
		tell(report.Collector(hook, ""), err)
		return
	}
	server, err := serve()
	if err != nil {
		tell(report.Collector(hook, ""), err)
		return
	}
	defer server.close()
	c, err := startCollector(binary, hook, server.address)
	if err != nil {
		tell(report.Collector(hook, ""), err)
		return
	}
	visits := make(map[string]*visit)
	for _, d := range doors {
		v, err := visitDoor(d)
		if err != nil {
			tell(report.Collector(hook, d.Name), err)
			continue
		}
		visits[d.Name] = v
	}
	err = errors.Join(c.stop(), before.checkNothingLeft())
	for _, d := range doors {
		v := visits[d.Name]
		if v == nil {
			continue
		}
		tell(report.Collector(hook, d.Name), v.compareSpans(server.spansOf(v.pid)))
	}
	tell(report.Collector(hook, ""), err)
}

type collector struct {
	command *exec.Cmd
	ended   chan error
}

// startCollector returns when the Collector is ready, or has given up.
func startCollector(binary, hook, address string) (*collector, error) {
	file := filepath.Join(os.TempDir(), hook+".yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, hook, address), 0o600); err != nil {
		return nil, err
	}
	c := &collector{command: exec.Command(binary, "--config", file), ended: make(chan error, 1)}
	log, err := c.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	ready := make(chan struct{})
	var last string
	go func() {
		lines := bufio.NewReader(log)
		for {
			line, err := lines.ReadString('\n')
			fmt.Print(line)
			if strings.Contains(line, "Everything is ready.") {
				close(ready)
			}
			if strings.TrimSpace(line) != "" {
				last = line
			}
			if err != nil {
				break
			}
		}
		c.ended <- c.command.Wait()
	}()
	select {
	case <-ready:
		time.Sleep(settleTime)
		return c, nil
	case err := <-c.ended:
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return nil, errOutcome{report.Refused, fmt.Errorf("%w: %s", err, last)}
	case <-time.After(startTime):
		return nil, errors.Join(errors.New("the Collector is not ready in time"), c.command.Process.Kill())
	}
}

// stop ends the Collector as a terminal does; it must go without an error.
func (c *collector) stop() error {
	if err := c.command.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	select {
	case err := <-c.ended:
		return err
	case <-time.After(stopTime):
		return errors.Join(errors.New("the Collector does not end in time"), c.command.Process.Kill())
	}
}
