// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/getsockopt/getsockoptreceiver/test/resilience/rig"
)

// Thousands of processes that make a few calls each and are gone, counted for
// their service and each for itself, of which there are more than the kernel
// can hold.
func TestProcessesComeAndGo(t *testing.T) {
	t.Parallel()
	for _, groupBy := range []string{"service", "process"} {
		t.Run(groupBy, func(t *testing.T) {
			b := newFixture(t, "forks", "group_by: "+groupBy)
			b.run(t, "fork", "4000", "3")
			b.rest(t)
			b.run(t, "fork", "500", "3")
			b.rest(t)
			b.stop(t)
		})
	}
}

// Processes that are killed while a thread is inside a call.
func TestKilledInsideACall(t *testing.T) {
	t.Parallel()
	b := newFixture(t, "killed")
	b.run(t, "killed", "200")
	telemetry := b.rest(t)
	if telemetry.Lost["no_exit"] != 0 {
		t.Errorf("calls without a return: %+v", telemetry)
	}
	b.stop(t)
}

// Programs that run one after the other under the same process id are kept
// apart.
func TestProcessIDsAreReused(t *testing.T) {
	t.Parallel()
	const programs, each = 20, 10
	b := newFixture(t, "pids")
	b.run(t, "pids", fmt.Sprint(programs))
	b.rest(t)
	data := b.data(t)
	spans := map[string]int{}
	pids := map[int64]bool{}
	created := map[string]bool{}
	for _, r := range data.Resources {
		spans[text(r, "service.name")]++
		created[text(r, "service.name")+" "+text(r, "process.creation.time")] = true
		pid, _ := r.Attributes().Get("process.pid")
		pids[pid.Int()] = true
	}
	if len(pids) != 1 || len(created) != programs {
		t.Errorf("want one process id and %d programs that began once each: %v, %v", programs, pids, created)
	}
	want := map[string]int{}
	for i := range programs {
		service := fmt.Sprintf("reuse-%d", i)
		want[service] = each
		if n := data.CallsOf(service); n != each {
			t.Errorf("%d calls counted for %s, want %d", n, service, each)
		}
	}
	if !maps.Equal(spans, want) {
		t.Errorf("spans by service %v, want %d of each", spans, each)
	}
	b.stop(t)
}

// The same descriptor is one socket after the other.
func TestDescriptorsAreReused(t *testing.T) {
	t.Parallel()
	const calls = 300
	b := newFixture(t, "fds")
	b.run(t, "descriptors", fmt.Sprint(calls))
	b.rest(t)
	transports := map[string]string{"AF_INET": "tcp", "AF_INET6": "udp", "AF_UNIX": "unix"}
	descriptors, families := map[int64]bool{}, map[string]int{}
	for _, s := range b.data(t).Each {
		family := attribute(s.Attributes(), "socket.option.value")
		if transport := attribute(s.Attributes(), "network.transport"); transport == "" || transport != transports[family] {
			t.Errorf("SO_DOMAIN is %s: %v", family, s.Attributes().AsRaw())
		}
		fd, _ := s.Attributes().Get("socket.fd")
		descriptors[fd.Int()] = true
		families[family]++
	}
	if len(descriptors) != 1 || len(families) != 3 || families["AF_UNIX"] != calls/3 {
		t.Errorf("want one descriptor and %d calls of each family: %v, %v", calls/3, descriptors, families)
	}
	b.stop(t)
}

func text(r pcommon.Resource, name string) string { return attribute(r.Attributes(), name) }

func attribute(of pcommon.Map, name string) string {
	if v, found := of.Get(name); found {
		return v.AsString()
	}
	return ""
}

// A call that runs when the Collector starts is seen at its return, and one that
// runs when it stops was seen at its entry. Both are accounted for as that.
func TestCallsInProgress(t *testing.T) {
	t.Parallel()
	load := newLoad(t, "progress")
	early, err := load.Start("hold")
	require.NoError(t, err)
	defer early.Kill()
	require.NoError(t, early.Await("inside"))

	backend := newBackend(t)
	c := start(t, backend.Config("", rig.Receiver{Name: receiver, Settings: rig.Settings(load)}))
	before, err := backend.Rest(receiver, 0)
	require.NoError(t, err)
	require.NoError(t, early.Go())
	_, err = early.End()
	require.NoError(t, err)
	eventually(t, func() error {
		telemetry := backend.SelfTelemetry(receiver)
		if n := telemetry.Uncounted["no_entry"]; n <= before.Uncounted["no_entry"] || n != telemetry.Lost["no_entry"] {
			return fmt.Errorf("want one more call without an entry than %+v: %+v", before, telemetry)
		}
		return telemetry.AtRest(0)
	})

	made, err := load.Run("loop", "1", "100")
	require.NoError(t, err)
	late, err := load.Start("hold")
	require.NoError(t, err)
	defer late.Kill()
	require.NoError(t, late.Await("inside"))
	eventually(t, func() error {
		telemetry := backend.SelfTelemetry(receiver)
		if telemetry.InFlight["metrics"] == 0 || telemetry.InFlight["traces"] == 0 {
			return fmt.Errorf("no call is in flight: %+v", telemetry)
		}
		return nil
	})
	require.NoError(t, c.Stop())
	data, err := backend.Data(receiver)
	require.NoError(t, err)
	telemetry := backend.SelfTelemetry(receiver)
	if err := telemetry.Check(data.Calls()); err != nil {
		t.Error(err)
	}
	if data.Calls() != made || data.Spans != made || telemetry.InFlight["metrics"] == 0 || telemetry.InFlight["traces"] == 0 {
		t.Errorf("%d calls counted and %d spans, want %d and the call that runs in flight: %+v", data.Calls(), data.Spans, made, telemetry)
	}
}
