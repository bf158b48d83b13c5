// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// A start proves hooks and fills tables; it takes a fraction of a second.
	startLimit = 60 * time.Second
	// What an operator may expect of a Collector that is told to stop.
	stopLimit = 5 * time.Second
)

// server is a Collector that runs: ours, or Jaeger, which is one as well.
type server struct {
	cmd    *exec.Cmd
	output output
	exited chan struct{} // closed with err set
	err    error
}

// output is what a process writes, readable while it does.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// collector starts the Collector under test and waits until it collects.
func collector(t *testing.T, config string, environment ...string) *server {
	t.Helper()
	return serve(t, binary(t, "dist/otelcol-getsockopt", "build"), config, environment...)
}

func serve(t *testing.T, program, config string, environment ...string) *server {
	t.Helper()
	s := &server{cmd: exec.Command(program, "--config", config), exited: make(chan struct{})}
	s.cmd.Env = environment
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		select {
		case <-s.exited:
		default:
			_ = s.cmd.Process.Kill() // it may be gone by now
			<-s.exited
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", program, &s.output)
		}
	})
	eventually(t, startLimit, program+" is ready", func() bool {
		select {
		case <-s.exited:
			t.Fatalf("%s ended at its start: %v", program, s.err)
		default:
		}
		return strings.Contains(s.output.String(), "Everything is ready")
	})
	return s
}

// stop interrupts the server as a terminal does, and checks how it ends.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.exited:
	case <-time.After(stopLimit):
		t.Fatalf("%s still runs %v after SIGINT", s.cmd.Path, stopLimit)
	}
	if s.err != nil {
		t.Errorf("%s ended with %v after SIGINT, want status 0", s.cmd.Path, s.err)
	}
}
