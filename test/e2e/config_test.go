// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

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

// What `make run` prints: a line for each call that a person can follow.
func TestLocalConfigurationPrintsALineForEachCall(t *testing.T) {
	c := collector(t, harness.File("config/local.yaml"))
	k := runKnown(t, "printed", caller.Command(t, "kinds:1", "OTEL_SERVICE_NAME=printed"))
	// The tenth call is of an option without a name.
	nameless := runKnown(t, "nameless", caller.Command(t, "loop:10", "OTEL_SERVICE_NAME=nameless"))
	c.stop(t)
	if want := fmt.Sprintf(" e2e.test[%d] SOL_SOCKET 9999 failed: ENOPROTOOPT, ", nameless.pid()); !strings.Contains(c.Output(), want) {
		t.Errorf("%q is not printed", want)
	}
	var lines []string
	for line := range strings.Lines(c.Output()) {
		if strings.Contains(line, fmt.Sprintf("e2e.test[%d] ", k.pid())) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	kinds := caller.Kinds()
	if len(lines) != len(kinds) {
		t.Fatalf("%d lines, want %d, of the calls in\n%s", len(lines), len(kinds), c.Output())
	}
	for i, kind := range kinds {
		result := " = " + kind.Value
		if kind.Return != 0 {
			result = " failed: " + errorNames[syscall.Errno(-kind.Return)]
		}
		peer := ""
		if kind.Pending != 0 { // a refused connection has a peer
			peer = `, peer 127\.0\.0\.1 port \d+`
		}
		want := regexp.MustCompile(fmt.Sprintf(`^\d\d:\d\d:\d\d\.\d{3} e2e\.test\[%d\] %s%s%s, \d+\.\d us$`, k.pid(), kind.Name, result, peer))
		if !want.MatchString(lines[i]) {
			t.Errorf("%q is printed, want %s", lines[i], want)
		}
	}
	if want := "service.name=printed"; !strings.Contains(c.Output(), want) {
		t.Errorf("%q is not printed", want)
	}
}

// journal is config/journal.yaml, with a port of its own for the Collector's metrics, and
// without the limit, which other programs of the host may use up.
func journal(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(harness.File("config/journal.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("port: 8888", "port: "+harness.Port(t), "max_per_second: 20\n", "max_per_second: 0\n").Replace(string(b))
	return harness.WriteFile(t, "journal.yaml", config)
}

// What the packages write to the journal: each failed call names its program, also the
// second one of it.
func TestJournalConfigurationPrintsALineForEachFailedCall(t *testing.T) {
	const rounds = 2
	c := collector(t, journal(t))
	k := runKnown(t, "printed", caller.Command(t, fmt.Sprintf("kinds:%d", rounds), "OTEL_SERVICE_NAME=printed"))
	// The tenth call is of an option without a name.
	runKnown(t, "nameless", caller.Command(t, "loop:10", "OTEL_SERVICE_NAME=nameless"))
	c.stop(t)
	id := " [0-9a-f]{32} [0-9a-f]{16} "
	process := fmt.Sprintf(` service\.name=printed process\.pid=%d`, k.pid())
	failed := 0
	for _, kind := range caller.Kinds() {
		name, peer := errorNames[syscall.Errno(-kind.Return)], ""
		if kind.Pending != 0 { // a refused connection has a peer
			name, peer = kind.Value, ` network\.peer\.address=127\.0\.0\.1 network\.peer\.port=\d+`
		} else if kind.Return == 0 {
			continue
		}
		failed++
		want := regexp.MustCompile("(?m)^getsockopt " + kind.Name + id + "error\\.type=" + name + peer + process)
		if n := len(want.FindAllString(c.Output(), -1)); n < rounds {
			t.Errorf("%d lines match %s, want %d", n, want, rounds)
		}
	}
	if want := regexp.MustCompile("(?m)^getsockopt SOL_SOCKET 9999" + id + `error\.type=ENOPROTOOPT service\.name=nameless`); !want.MatchString(c.Output()) {
		t.Errorf("no line matches %s", want)
	}
	if n := strings.Count(c.Output(), fmt.Sprintf("process.pid=%d", k.pid())); n != rounds*failed {
		t.Errorf("%d lines, want %d, of the failed calls in\n%s", n, rounds*failed, c.Output())
	}
}

// A program that chooses its names may neither forge a line nor control the terminal.
func TestNoControlCharactersArePrinted(t *testing.T) {
	for name, test := range map[string]struct{ config, want string }{
		"local":   {harness.File("config/local.yaml"), "b?forged[2]?[2J["},
		"journal": {journal(t), "service.name=a?12:00:00.000 forged[1]"},
	} {
		t.Run(name, func(t *testing.T) {
			c := collector(t, test.config)
			cmd := copied(t, caller.Command(t, "kinds:1", "OTEL_SERVICE_NAME=a\n12:00:00.000 forged[1] SO_ERROR\x1b[2J\u009b31m\u202e"), "b\nforged[2]\x1b[2J")
			runKnown(t, "", cmd)
			c.stop(t)
			if !strings.Contains(c.Output(), test.want) {
				t.Errorf("the program is not found in\n%q", c.Output())
			}
			for _, control := range []string{"\x1b", "\u009b", "\u202e", "\n12:00:00.000 forged", "\nforged"} {
				if strings.Contains(c.Output(), control) {
					t.Errorf("%q is printed: %q", control, c.Output())
				}
			}
		})
	}
}

// The whole of spans and metrics is one setting away.
func TestDetailedConfigurationPrintsEverything(t *testing.T) {
	c := collector(t, harness.File("config/detailed.yaml"))
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

// Production: every call is in metrics, every failed one a span, and few others are.
func TestProductionConfigurationSendsFailures(t *testing.T) {
	var (
		mu            sync.Mutex
		calls         = map[string]int64{}
		failed, other = map[string]int{}, map[string]int{}
	)
	server := httptest.NewServer(otlpsink.Handler(func(err error) { t.Error(err) }, func(b otlpsink.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		if b.Traces != nil {
			for resource, span := range otlpsink.Spans(*b.Traces) {
				if otlpsink.Text(resource.Attributes(), "host.name") == "" {
					return errors.New("a span has no host")
				}
				service := otlpsink.Text(resource.Attributes(), "service.name")
				if span.Status().Code() == ptrace.StatusCodeError {
					failed[service]++
				} else {
					other[service]++
				}
			}
			return nil
		}
		for resource, metric := range otlpsink.Metrics(*b.Metrics) {
			if metric.Name() != "socket.getsockopt.calls" {
				continue
			}
			service := otlpsink.Text(resource.Attributes(), "service.name")
			calls[service] = 0 // of the last collection
			for _, point := range metric.Sum().DataPoints().All() {
				calls[service] += point.IntValue()
			}
		}
		return nil
	}))
	t.Cleanup(server.Close)
	health, port := harness.Address(t), harness.Port(t)
	c := collector(t, harness.File("config/production.yaml"), "OTLP_ENDPOINT="+server.URL, "HEALTH_ENDPOINT="+health, "METRICS_PORT="+port)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, url := range []string{"http://" + health, "http://localhost:" + port + "/metrics"} {
		answer, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", url, answer.Status)
		}
	}
	const loops = 5000
	runKnown(t, "failing", caller.Command(t, "kinds:2", "OTEL_SERVICE_NAME=failing"))
	runKnown(t, "busy", caller.Command(t, fmt.Sprintf("loop:%d", loops), "OTEL_SERVICE_NAME=busy"))
	c.stop(t) // all is sent then

	failures := 0
	for _, kind := range caller.Kinds() {
		if kind.Return != 0 || kind.Pending != 0 {
			failures++
		}
	}
	if failed["failing"] != 2*failures {
		t.Errorf("%d failed calls have a span, want %d", failed["failing"], 2*failures)
	}
	if spans := failed["busy"] + other["busy"]; spans == 0 || spans > loops/10 {
		t.Errorf("%d spans of %d calls, want few", spans, loops)
	}
	if want := int64(2 * len(caller.Kinds())); calls["failing"] != want || calls["busy"] != loops {
		t.Errorf("%d and %d calls are in metrics, want %d and %d", calls["failing"], calls["busy"], want, loops)
	}
}
