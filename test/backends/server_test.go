// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"net/http"
	"os/exec"
	"syscall"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// server is a Collector that runs.
type server struct{ *harness.Process }

// collector starts the built Collector with a configuration, from config/ or of the test,
// and further arguments that change it.
func collector(t *testing.T, environment []string, arguments ...string) server {
	t.Helper()
	cmd := exec.Command(harness.Built(t, harness.Collector), arguments...)
	cmd.Env = append([]string{"METRICS_PORT=" + harness.Port(t)}, environment...)
	s := server{harness.Run(t, cmd)}
	if err := s.AwaitOutput(limit, harness.Ready, 1); err != nil {
		t.Fatal(err)
	}
	return s
}

// stop ends a server, which sends all that it holds before.
func (s server) stop(t *testing.T) {
	t.Helper()
	if err := s.Stop(syscall.SIGTERM, limit); err != nil {
		t.Fatal(err)
	}
}

// client leaves no connection behind.
var client = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
