// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"fmt"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// The configurations of the packages can be merged: Prometheus, the gateway and the journal
// all get the failed calls.
func TestConfigurationsOfThePackagesTogether(t *testing.T) {
	const rounds, failures = 1, 5 // of a round
	direct, behind := startPrometheus(t, "global: {}\n"), startPrometheus(t, "global: {}\n")
	kept := newSink(t)
	address := harness.Address(t)
	gateway := collector(t, []string{
		"GATEWAY_LISTEN=" + address, "TRACES_ENDPOINT=" + kept.serve(t), "PROMETHEUS_ENDPOINT=" + behind.writeURL(),
		"DECISION_WAIT=1s", "FLUSH_INTERVAL=500ms",
	}, "--config", harness.File("config/gateway.yaml"))
	// In the order of the unit.
	c := collector(t, []string{"PROMETHEUS_ENDPOINT=" + direct.writeURL(), "GATEWAY_ENDPOINT=" + address},
		"--config", harness.File("config/prometheus.yaml"), "--config", harness.File("config/agent.yaml"),
		"--config", harness.File("config/journal.yaml"), "--config", harness.WriteFile(t, "test.yaml", fmt.Sprintf(`
receivers:
  getsockopt: {collection_interval: 500ms, select: %s}
service: {telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %s}}}}]}}}
`, onlyCallers(t), harness.Port(t))))
	together(t, command(t, "merged", fmt.Sprintf("kinds:%d", rounds)))
	for name, p := range map[string]prometheus{"Prometheus": direct, "the gateway's Prometheus": behind} {
		harness.Eventually(t, limit, name+" has the error", func() bool {
			return p.number(t, `sum(socket_errors_total{service_name="merged"})`) == rounds
		})
	}
	if err := c.AwaitOutput(limit, "service.name=merged", rounds*failures); err != nil {
		t.Error(err)
	}
	c.stop(t)
	gateway.stop(t)
	if n := len(kept.spansOf("merged", anySpan)); n != rounds*failures {
		t.Errorf("the gateway kept %d spans, want %d", n, rounds*failures)
	}
}
