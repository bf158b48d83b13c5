// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"fmt"
	"net/http/httptest"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/internal/otlpsink"
)

// host is the built Collector, with a server that takes what it sends.
type host struct {
	*backend
	collector *harness.Process
	pprof     string
}

// watch starts a Collector that collects every second and has otherwise the defaults, but
// for the settings. At the end of the test all that it sent is checked.
func watch(t *testing.T, settings ...string) *host {
	t.Helper()
	h := &host{backend: newBackend(), pprof: harness.Address(t)}
	server := httptest.NewServer(otlpsink.Handler(h.fail, h.take))
	t.Cleanup(server.Close)
	config := harness.WriteFile(t, "collector.yaml", fmt.Sprintf(`receivers:
  getsockopt: {%s}
exporters:
  otlp_http:
    endpoint: %s
    compression: none
    sending_queue: {enabled: false}
    retry_on_failure: {enabled: false}
extensions: {pprof: {endpoint: %s}}
service:
  extensions: [pprof]
  telemetry:
    metrics:
      readers:
        - periodic:
            interval: 300
            exporter: {otlp: {protocol: http/protobuf, endpoint: %[2]s/v1/metrics}}
  pipelines:
    traces: {receivers: [getsockopt], exporters: [otlp_http]}
    metrics: {receivers: [getsockopt], exporters: [otlp_http]}
`, strings.Join(append([]string{"collection_interval: 1s"}, settings...), ", "), server.URL, h.pprof))
	h.collector = harness.Run(t, exec.Command(harness.Built(t, harness.Collector), "--config", config))
	require.NoError(t, h.collector.AwaitReady(limit, 1))
	return h
}

// eventually waits until what was sent fulfils a condition.
func (h *host) eventually(t *testing.T, holds func() error) {
	t.Helper()
	require.NoError(t, harness.Await(limit, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		return holds()
	}))
}

// collections waits for so many further collections.
func (h *host) collections(t *testing.T, n int) {
	t.Helper()
	seen := -1
	h.eventually(t, func() error {
		if seen < 0 {
			seen = len(h.sums)
		}
		if got := len(h.sums) - seen; got < n {
			return fmt.Errorf("%d collections of %d", got, n)
		}
		return nil
	})
}

// end stops the Collector, and checks all that it sent.
func (h *host) end(t *testing.T) {
	t.Helper()
	require.NoError(t, h.collector.Stop(syscall.SIGTERM, limit))
	h.mu.Lock()
	defer h.mu.Unlock()
	require.NoError(t, h.check())
	require.NoError(t, h.atRest())
}

// awaitCalls waits until a service has so many calls in points of its own.
func (h *host) awaitCalls(t *testing.T, service string, calls uint64) {
	t.Helper()
	h.eventually(t, func() error {
		if got := h.calls(ofService(service)); got != calls {
			return fmt.Errorf("%d calls of %s in points of its own, want %d", got, service, calls)
		}
		return nil
	})
}
