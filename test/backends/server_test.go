// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"bufio"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// server is a Collector that runs.
type server struct {
	*harness.Process
	metricsPort string
}

// collector starts the built Collector with a configuration, from config/ or of the test,
// and further arguments that change it.
func collector(t testing.TB, environment []string, arguments ...string) server {
	t.Helper()
	return start(t, harness.Collector, environment, arguments...)
}

// gatewayCollector starts the built Collector for gateways with a configuration of config/.
func gatewayCollector(t testing.TB, config string, environment ...string) server {
	t.Helper()
	return start(t, harness.CollectorGateway, environment, "--config", harness.File(config))
}

func start(t testing.TB, program func() (string, error), environment []string, arguments ...string) server {
	t.Helper()
	cmd := exec.Command(harness.Built(t, program), arguments...)
	port := harness.Port(t)
	cmd.Env = append([]string{"METRICS_PORT=" + port}, environment...)
	s := server{harness.Run(t, cmd), port}
	if err := s.AwaitReady(limit, 1); err != nil {
		t.Fatal(err)
	}
	return s
}

// own is the sum of a metric of the Collector itself, over all its labels.
func (s server) own(t testing.TB, name string) (sum float64) {
	t.Helper()
	answer, err := client.Get("http://localhost:" + s.metricsPort + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if before, _, _ := strings.Cut(fields[0], "{"); before != name {
			continue
		}
		n, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// stop ends a server, which sends all that it holds before.
func (s server) stop(t testing.TB) {
	t.Helper()
	if err := s.Stop(syscall.SIGTERM, limit); err != nil {
		t.Fatal(err)
	}
}

// client leaves no connection behind.
var client = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
