// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a Collector or a Prometheus that runs.
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

// serve starts a program and waits until it is ready.
func serve(t *testing.T, cmd *exec.Cmd, ready func(*server) bool) *server {
	t.Helper()
	s := &server{cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &s.output, &s.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.err = cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		select {
		case <-s.exited:
		default:
			_ = cmd.Process.Kill() // it may be gone by now
			<-s.exited
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", cmd.Path, &s.output)
		}
	})
	eventually(t, cmd.Path+" is ready", func() bool {
		select {
		case <-s.exited:
			t.Fatalf("%s ended at its start: %v", cmd.Path, s.err)
		default:
		}
		return ready(s)
	})
	return s
}

// collector starts the built Collector with a configuration of config/ or a
// test's own, and what the test changes of it.
func collector(t *testing.T, environment []string, arguments ...string) *server {
	t.Helper()
	path := file("dist/otelcol-getsockopt")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make build`, or `make test`, which does", err)
	}
	cmd := exec.Command(path, arguments...)
	cmd.Env = append([]string{"METRICS_PORT=" + freePort(t)}, environment...)
	return serve(t, cmd, func(s *server) bool { return strings.Contains(s.output.String(), "Everything is ready") })
}

// stop ends a server, which sends all that it holds before.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.exited:
	case <-time.After(limit):
		t.Fatalf("%s still runs %v after SIGTERM", s.cmd.Path, limit)
	}
	if s.err != nil {
		t.Errorf("%s ended with %v", s.cmd.Path, s.err)
	}
}

// client leaves no connection behind.
var client = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
