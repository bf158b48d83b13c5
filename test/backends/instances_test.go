// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"fmt"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// Two containers of one service are two series in Prometheus, also where no label has
// the id of the container.
func TestPrometheusTellsContainersApart(t *testing.T) {
	const loops = 1000
	p := startPrometheus(t, "global: {}\n")
	c := collector(t, []string{"PROMETHEUS_ENDPOINT=" + p.writeURL()},
		"--config", harness.File("config/prometheus.yaml"), "--config", harness.WriteFile(t, "test.yaml", fmt.Sprintf(`
receivers:
  getsockopt: {collection_interval: 500ms, group_by: [service, container], select: %s}
exporters:
  prometheus_remote_write: {resource_constant_labels: {included: [service.name]}}
`, onlyCallers(t))))
	for i, id := range []string{strings.Repeat("0a", 32), strings.Repeat("0b", 32)} {
		run := command(t, "shop", fmt.Sprintf("loop:%d", loops*(i+1)))
		caller.Enter(t, run, caller.Cgroup(t, "/getsockopt-backends/docker/"+id))
		together(t, run)
		harness.Eventually(t, limit, "Prometheus has the container", func() bool {
			return p.number(t, `sum(socket_getsockopt_calls_total{service_name="shop",instance=%q})`, id) == float64(loops*(i+1))
		})
	}
	c.stop(t)
	p.expect(t, 3*loops, `sum(socket_getsockopt_calls_total{service_name="shop"})`)
	p.expect(t, 2, `count(count by (instance) (socket_getsockopt_calls_total{service_name="shop"}))`)
	p.expect(t, 0, `count(socket_getsockopt_calls_total{container_id!=""}) or vector(0)`)
}
