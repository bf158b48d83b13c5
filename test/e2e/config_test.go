// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/internal/otlpsink"
)

// forGateways are the configurations for the distribution otelcol-getsockopt-gateway.
var forGateways = []string{"gateway-kafka.yaml", "kafka.yaml", "load-balancer.yaml"}

// TestConfigurationsAreValid looks at every configuration that comes with the
// Collector.
func TestConfigurationsAreValid(t *testing.T) {
	paths, err := filepath.Glob(harness.File("config/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) < 3 {
		t.Fatalf("found %v, want local, Jaeger and Tempo at least", paths)
	}
	for _, path := range paths {
		if filepath.Base(path) == "kubernetes.yaml" {
			continue // for the other distribution; test/kubernetes starts it
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			program := harness.Collector
			if slices.Contains(forGateways, filepath.Base(path)) {
				program = harness.CollectorGateway
			}
			cmd := exec.Command(harness.Built(t, program), "validate", "--config", path)
			if output, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// The README shows settings with their defaults.
func TestConfigurationOfTheReadmeIsValid(t *testing.T) {
	readme, err := os.ReadFile(harness.File("README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := yamlBlock.FindAllStringSubmatch(string(readme), -1)
	if len(blocks) == 0 {
		t.Fatal("the README shows no configuration")
	}
	for _, block := range blocks {
		config := harness.WriteFile(t, "collector.yaml", block[1]+toDebug)
		cmd := exec.Command(harness.Built(t, harness.Collector), "validate", "--config", config)
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s\n%s", err, output, block[1])
		}
	}
}

// What `make run` shows: spans and metrics that a person can read.
func TestLocalConfigurationPrintsCalls(t *testing.T) {
	c := collector(t, harness.File("config/local.yaml"))
	runKnown(t, "printed", caller.Command(t, "kinds:1", "OTEL_SERVICE_NAME=printed"))
	c.stop(t)
	for _, want := range []string{
		"service.name: Str(printed)",
		"getsockopt SO_ERROR",
		"socket.option.value: Str(ECONNREFUSED)",
		"error.type: Str(EOPNOTSUPP)",
		"socket.getsockopt.calls",
		"socket.getsockopt.duration",
		"socket.errors",
	} {
		if !strings.Contains(c.Output(), want) {
			t.Errorf("%q is not printed", want)
		}
	}
}

// Tempo takes what any OTLP/HTTP server does.
func TestTempoConfigurationSends(t *testing.T) {
	const service = "to-tempo"
	var arrived atomic.Int64
	tempo := httptest.NewServer(otlpsink.Handler(func(err error) { t.Error(err) }, func(b otlpsink.Batch) error {
		if b.Traces == nil {
			return errors.New("Tempo takes traces only")
		}
		for resource := range otlpsink.Spans(*b.Traces) {
			if otlpsink.Text(resource.Attributes(), "service.name") == service {
				arrived.Add(1)
			}
		}
		return nil
	}))
	t.Cleanup(tempo.Close)
	c := collector(t, harness.File("config/tempo.yaml"), "TEMPO_ENDPOINT="+tempo.URL, "METRICS_PORT="+harness.Port(t))
	runKnown(t, service, caller.Command(t, "kinds:1", "OTEL_SERVICE_NAME="+service))
	harness.Eventually(t, arrivalLimit, "the spans arrive", func() bool {
		return arrived.Load() == int64(len(caller.Kinds()))
	})
	c.stop(t)
}
