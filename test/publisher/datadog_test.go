// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// A Go program that names its service in code, with a tracer that publishes its resource.
func TestDatadog(t *testing.T) {
	executable := harness.GoProgram(t, "test/publisher/ddprogram", "CGO_ENABLED=0")
	c := collect(t, "ddprogram", nil)
	p := startResource(t, executable, "DD_INSTRUMENTATION_TELEMETRY_ENABLED=false", "DD_REMOTE_CONFIGURATION_ENABLED=false")
	if line, err := p.Out.ReadString('\n'); err != nil || line != "done\n" {
		t.Fatalf("the tracer did not start: %q, %v", line, err)
	}
	awaitName(t, p.PID(), "checkout")
	p.do(t, "9001")
	resource := c.resource(t, 9001)
	checkResource(t, resource, map[string]any{
		semconv.ServiceName: "checkout", "service.version": "1.2.3", "deployment.environment.name": "test",
	})
	if resource[semconv.ServiceInstanceID] == nil {
		t.Errorf("no service.instance.id in %v", resource)
	}
	c.end()
	if got := c.callsOf(map[string]any{semconv.ServiceName: "checkout"}); got != 1 {
		t.Errorf("metrics have %d calls of the service, want 1", got)
	}
}
