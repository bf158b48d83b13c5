// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

const (
	// A start tests hooks and fills tables; it takes a fraction of a second.
	startLimit = 60 * time.Second
	// What an operator may expect of a Collector that is asked to stop.
	stopLimit = 5 * time.Second
)

// server is a Collector that runs: ours, or Jaeger, which is one as well.
type server struct{ *harness.Process }

// collector starts the Collector under test and waits until it collects.
func collector(t *testing.T, config string, environment ...string) server {
	t.Helper()
	return serve(t, harness.Built(t, harness.Collector), config, environment...)
}

func serve(t *testing.T, program, config string, environment ...string) server {
	t.Helper()
	cmd := exec.Command(program, "--config", config)
	cmd.Env = environment
	s := server{harness.Run(t, cmd)}
	if err := s.AwaitReady(startLimit, 1); err != nil {
		t.Fatal(err)
	}
	return s
}

// stop interrupts the server as a terminal does, and checks how it ends.
func (s server) stop(t *testing.T) {
	t.Helper()
	if err := s.Stop(syscall.SIGINT, stopLimit); err != nil {
		t.Fatal(err)
	}
}
