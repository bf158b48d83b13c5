// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// A process may put any byte into its name, its path and its environment; OTLP
// strings are UTF-8, and a backend refuses a whole batch for one that is not.
func TestBytesThatAreNotUTF8(t *testing.T) {
	sink := newSink(t)
	c := collector(t, sink.config(t, unsampled, noMetrics))
	cmd := copied(t, caller.Command(t, "kinds:1", "OTEL_SERVICE_NAME=caf\xe9",
		"OTEL_RESOURCE_ATTRIBUTES=na\xefve=\xff,euro=\u20ac"), "na\xefve-\xf0")
	const service = `caf\xe9`
	k := runKnown(t, service, cmd)
	harness.Eventually(t, arrivalLimit, "the calls arrive", func() bool {
		return sink.calls(service) == int64(len(caller.Kinds())) && len(sink.spansOf(k.pid())) == len(caller.Kinds())
	}, sink.summary(service, k.pid()))
	for _, s := range sink.spansOf(k.pid()) {
		for key, want := range map[string]string{
			"service.name":            service,
			"process.executable.name": `na\xefve-\xf0`,
			`na\xefve`:                `\xff`,
			"euro":                    "\u20ac",
		} {
			if s.resource[key] != want {
				t.Errorf("%s is %q, want %q", key, s.resource[key], want)
			}
		}
		if s.Attributes["thread.name"] != `na\xefve-\xf0` {
			t.Errorf("thread.name is %q, want %q", s.Attributes["thread.name"], `na\xefve-\xf0`)
		}
	}
	c.stop(t)
}
