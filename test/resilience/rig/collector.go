// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"os/exec"
	"syscall"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// Generous, since the host may be busy.
const (
	startLimit = time.Minute
	// StopLimit is more than a shutdown may take: both signals have ten
	// seconds each to send what is left.
	StopLimit = 40 * time.Second
)

// Collector is a running Collector.
type Collector struct{ *harness.Process }

// Launch starts a Collector, ready or not.
func Launch(cmd *exec.Cmd) (*Collector, error) {
	p, err := harness.Start(cmd)
	if err != nil {
		return nil, err
	}
	return &Collector{p}, nil
}

// StartCollector starts the built Collector with a configuration file, and
// waits until it is ready.
func StartCollector(config string, arguments ...string) (*Collector, error) {
	program, err := harness.Collector()
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
	return c.Process.AwaitReady(startLimit, times)
}

// Stop asks it to end, and checks how it does.
func (c *Collector) Stop() error { return c.Process.Stop(syscall.SIGTERM, StopLimit) }
