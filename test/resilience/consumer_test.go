// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/getsockopt/getsockoptreceiver/test/resilience/rig"
)

// A backend that does not answer for a while stops the reading of the ring,
// which then loses spans: as many as it reports, to the unit.
func TestConsumerBlocks(t *testing.T) {
	t.Parallel()
	b := newFixture(t, "blocks")
	release := make(chan struct{})
	b.backend.Set(rig.Block(release))
	b.run(t, "loop", "2", "100000")
	eventually(t, func() error {
		if d := b.data(t); d.Offers < 2 {
			return fmt.Errorf("%d offers to the backend that blocks, want one of each signal", d.Offers)
		}
		return nil
	})
	b.run(t, "loop", "2", "100000")
	b.backend.Set(nil)
	close(release)
	telemetry := b.rest(t)
	if telemetry.Lost["ring_full"] == 0 || telemetry.Emitted == 0 {
		t.Errorf("want some spans lost and some sent: %+v", telemetry)
	}
	b.run(t, "loop", "1", "1000")
	b.rest(t)
	b.stop(t)
}

// A backend that refuses everything for longer than a batch is offered.
func TestConsumerRefusesForAWhile(t *testing.T) {
	t.Parallel()
	b := newFixture(t, "refuses")
	b.run(t, "loop", "1", "1000")
	before := b.rest(t)
	b.backend.Set(rig.Refuse(http.StatusServiceUnavailable))
	running, err := b.load.Start("stream")
	require.NoError(t, err)
	eventually(t, func() error {
		telemetry := b.backend.SelfTelemetry(receiver)
		if telemetry.Lost["consumer_refused"] == 0 {
			return fmt.Errorf("no batch was given up: %+v", telemetry)
		}
		return nil
	})
	made, err := running.End()
	require.NoError(t, err)
	b.made += made
	b.backend.Set(nil)
	telemetry := b.rest(t)
	if telemetry.Emitted <= before.Emitted {
		t.Errorf("no span was sent when the backend had recovered: %+v", telemetry)
	}
	b.stop(t)
}

// With the Collector's feature gate for pooled batches, their memory is given
// away whenever a consumer returns. What was refused comes again all the same.
func TestConsumerRefusesPooledBatches(t *testing.T) {
	t.Parallel()
	b := newFixtureWith(t, "pooled", nil, "--feature-gates=pdata.useProtoPooling")
	b.run(t, "loop", "1", "1000")
	b.rest(t)
	for range 3 {
		offers := b.data(t).Offers
		b.backend.Set(rig.Refuse(http.StatusServiceUnavailable))
		b.run(t, "loop", "1", "5000")
		eventually(t, func() error {
			if n := b.data(t).Offers - offers; n < 3 {
				return fmt.Errorf("%d offers, want at least 3", n)
			}
			return nil
		})
		b.backend.Set(nil)
		b.rest(t)
	}
	telemetry := b.stop(t)
	if spans := b.data(t).Spans; telemetry.Emitted != b.made || spans != b.made {
		t.Errorf("%d calls, %d spans arrived: %+v", b.made, spans, telemetry)
	}
}

// A backend that refuses permanently: no batch comes twice, and the lost spans are
// those that it refused.
func TestConsumerRefusesPermanently(t *testing.T) {
	t.Parallel()
	b := newFixture(t, "forgood")
	b.backend.Set(rig.Refuse(http.StatusBadRequest))
	b.run(t, "loop", "2", "20000")
	eventually(t, func() error {
		if telemetry := b.backend.SelfTelemetry(receiver); telemetry.Lost["consumer_permanent"] == 0 {
			return fmt.Errorf("no batch was given up: %+v", telemetry)
		}
		return nil
	})
	b.backend.Set(nil)
	b.run(t, "loop", "1", "1000")
	telemetry := b.rest(t)
	if refused := b.data(t).RefusedSpans; telemetry.Lost["consumer_permanent"] != refused {
		t.Errorf("the backend refused %d spans: %+v", refused, telemetry)
	}
	b.stop(t)
}

// A backend that still blocks when the Collector stops cannot hold it, and the
// last word on every call is where it went.
func TestConsumerBlocksTheShutdown(t *testing.T) {
	t.Parallel()
	b := newFixture(t, "shutdown")
	b.run(t, "loop", "1", "1000")
	b.rest(t)
	release := make(chan struct{})
	defer close(release)
	b.backend.Set(rig.Block(release))
	b.run(t, "loop", "2", "10000")
	eventually(t, func() error {
		if telemetry := b.backend.SelfTelemetry(receiver); telemetry.InFlight["traces"] == 0 {
			return fmt.Errorf("no call is on its way: %+v", telemetry)
		}
		return nil
	})
	require.NoError(t, b.collector.Signal(syscall.SIGTERM))
	_, err := b.collector.AwaitExit(rig.StopLimit)
	require.NoError(t, err)
	telemetry := b.backend.SelfTelemetry(receiver)
	// The metrics of the last collection did not arrive either: what the kernel
	// counted is known by what was made.
	if err := telemetry.AtRest(b.made); err != nil {
		t.Error(err)
	}
	if telemetry.Lost["shutdown"] == 0 {
		t.Errorf("want spans lost at the shutdown: %+v", telemetry)
	}
}
