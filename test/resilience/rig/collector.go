// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Generous, since the host may be busy.
const (
	startLimit = time.Minute
	// StopLimit is more than a shutdown may take: both signals have ten
	// seconds each to send what is left.
	StopLimit = 40 * time.Second
)

// Collector is a running Collector.
type Collector struct {
	cmd    *exec.Cmd
	output output
	exited chan struct{}
	err    error // once exited
}

// output is what a process has written so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

const ready = "Everything is ready"

// Launch starts a Collector, ready or not.
func Launch(cmd *exec.Cmd) (*Collector, error) {
	c := &Collector{cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &c.output, &c.output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.err = cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

// StartCollector starts the built Collector with a configuration file, and
// waits until it is ready.
func StartCollector(config string, arguments ...string) (*Collector, error) {
	program, err := Program()
	if err != nil {
		return nil, err
	}
	c, err := Launch(exec.Command(program, append([]string{"--config", config}, arguments...)...))
	if err != nil {
		return nil, err
	}
	return c, c.AwaitReady(1)
}

// AwaitReady waits until the Collector has been ready that many times: once
// after its start, and once more after each reload.
func (c *Collector) AwaitReady(times int) error {
	return Eventually(startLimit, func() error {
		if n := strings.Count(c.Output(), ready); n >= times {
			return nil
		}
		if c.Ended() {
			return fmt.Errorf("the Collector has ended: %w\n%s", c.err, c.Output())
		}
		return fmt.Errorf("the Collector is not ready %d times\n%s", times, c.Output())
	})
}

// PID is the Collector's process.
func (c *Collector) PID() int { return c.cmd.Process.Pid }

// Output is what it wrote so far.
func (c *Collector) Output() string { return c.output.String() }

// Ended says whether it has exited.
func (c *Collector) Ended() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// Signal sends it a signal.
func (c *Collector) Signal(s syscall.Signal) error { return c.cmd.Process.Signal(s) }

// Await waits until it has exited, and returns its exit status.
func (c *Collector) Await(limit time.Duration) (int, error) {
	select {
	case <-c.exited:
		return c.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		return 0, fmt.Errorf("the Collector still runs after %v\n%s", limit, c.Output())
	}
}

// Stop asks it to end, and checks how it does.
func (c *Collector) Stop() error {
	if err := c.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	status, err := c.Await(StopLimit)
	if err == nil && (status != 0 || strings.Contains(c.Output(), "panic:")) {
		err = fmt.Errorf("the Collector ended with status %d\n%s", status, c.Output())
	}
	return err
}

// Kill ends it without a chance to clean up.
func (c *Collector) Kill() {
	_ = c.Signal(syscall.SIGKILL) // it may be gone by now
	<-c.exited
}
