// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

const (
	rounds = 5
	// What was sent must be here by then; it takes a fraction of a second.
	arrivalLimit = 15 * time.Second
)

// The main job: ten kinds of calls, five times, by a program that exits at once.
// Every call is a span as long as the host makes no more than a thousand a second, so
// nothing else should do much meanwhile.
func TestCallsBecomeSpansAndMetrics(t *testing.T) {
	sink := newSink(t)
	c := collector(t, sink.config(t, defaults+", spans: {max_per_second: 1000}", noMetrics))
	script := fmt.Sprintf("kinds:%d", rounds)
	for _, variant := range []struct {
		name, service string
		cmd           *exec.Cmd
		own           attributes // what the process sets for itself
	}{
		{
			name: "OTEL_SERVICE_NAME", service: "checkout",
			cmd: caller.Command(t, script, "OTEL_SERVICE_NAME=checkout"),
		},
		{
			name: "OTEL_RESOURCE_ATTRIBUTES", service: "stock taking",
			cmd: caller.Command(t, script, "OTEL_RESOURCE_ATTRIBUTES=service.name=stock%20taking,service.namespace=shop,service.instance.id=7,deployment.environment.name=test"),
			own: attributes{"service.namespace": "shop", "service.instance.id": "7", "deployment.environment.name": "test"},
		},
		{
			name: "the first before the second", service: "billing",
			cmd: caller.Command(t, script, "OTEL_RESOURCE_ATTRIBUTES=service.name=other", "OTEL_SERVICE_NAME=billing"),
		},
		{
			name: "executable's name", service: "known-program",
			cmd: copied(t, caller.Command(t, script), "known-program"),
		},
		{
			name: "attributes that are not the process's to set", service: "pretender",
			cmd: caller.Command(t, script, "OTEL_SERVICE_NAME=pretender",
				"OTEL_RESOURCE_ATTRIBUTES=process.pid=1,process.executable.path=/bin/true,container.id=c,host.name=h,team=a"),
			own: attributes{"team": "a"},
		},
	} {
		t.Run(variant.name, func(t *testing.T) {
			k := runKnown(t, variant.service, variant.cmd)
			want := rounds * len(caller.Kinds())
			harness.Eventually(t, arrivalLimit, "every call is counted", func() bool {
				return sink.calls(k.service) >= int64(want) && len(sink.spansOf(k.pid())) >= want
			}, sink.summary(k.service, k.pid()))
			spans := sink.spansOf(k.pid())
			k.checkSpans(t, spans)
			k.checkResource(t, spans, variant.own)
			k.checkMetrics(t, sink, spans)
		})
	}
	c.stop(t)
}

// What no interval has brought out yet is sent at the end.
func TestShutdownSendsTheRest(t *testing.T) {
	sink := newSink(t)
	c := collector(t, sink.config(t, "collection_interval: 1h, metric_expiration: 0s", noMetrics))
	k := runKnown(t, "last", caller.Command(t, fmt.Sprintf("kinds:%d", rounds), "OTEL_SERVICE_NAME=last"))
	c.stop(t)
	spans := sink.spansOf(k.pid())
	k.checkSpans(t, spans)
	k.checkMetrics(t, sink, spans)
}
