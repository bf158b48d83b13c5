// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/resilience/rig"
)

// limit is how long a test waits for what takes a second at most on a host that
// has nothing else to do.
const limit = 30 * time.Second

func TestMain(m *testing.M) {
	caller.Main()
	goleak.VerifyTestMain(m)
}

func eventually(t *testing.T, holds func() error) {
	t.Helper()
	require.NoError(t, harness.Await(limit, holds))
}

// newLoad returns a load of the test's own. A long name would be cut where the
// kernel keeps it as comm, but not where the receiver selects.
func newLoad(t *testing.T, name string) *rig.Load {
	t.Helper()
	load, err := rig.NewLoad(t.TempDir(), "load-"+name)
	require.NoError(t, err)
	return load
}

func newBackend(t *testing.T) *rig.Backend {
	b := rig.NewBackend()
	t.Cleanup(b.Close)
	return b
}

// start starts a Collector, which must not outlive the test.
func start(t *testing.T, config string, arguments ...string) *rig.Collector {
	t.Helper()
	c, err := rig.StartCollector(harness.WriteFile(t, "collector.yaml", config), arguments...)
	if c != nil {
		t.Cleanup(c.Kill)
	}
	require.NoError(t, err)
	return c
}

// name of the receiver of most tests.
const receiver = "getsockopt"

// fixture is a Collector of one receiver, which sees one load, before a backend.
type fixture struct {
	load      *rig.Load
	backend   *rig.Backend
	collector *rig.Collector
	made      uint64 // calls, since the receiver's start
}

func newFixture(t *testing.T, name string, settings ...string) *fixture {
	t.Helper()
	return newFixtureWith(t, name, settings)
}

// newFixtureWith is newFixture with arguments for the Collector.
func newFixtureWith(t *testing.T, name string, settings []string, arguments ...string) *fixture {
	t.Helper()
	b := &fixture{load: newLoad(t, name), backend: newBackend(t)}
	config := b.backend.Config("", rig.Receiver{Name: receiver, Settings: rig.Settings(b.load, settings...)})
	b.collector = start(t, config, arguments...)
	return b
}

// run runs a script of the load to its end.
func (b *fixture) run(t *testing.T, script ...string) {
	t.Helper()
	made, err := b.load.Run(script...)
	require.NoError(t, err)
	b.made += made
}

// rest waits until the receiver accounts for each call.
func (b *fixture) rest(t *testing.T) rig.SelfTelemetry {
	t.Helper()
	telemetry, err := b.backend.Rest(receiver, b.made)
	require.NoError(t, err)
	return telemetry
}

func (b *fixture) data(t *testing.T) rig.Received {
	t.Helper()
	data, err := b.backend.Data(receiver)
	require.NoError(t, err)
	return data
}

// stop ends the Collector and returns its last self-telemetry.
func (b *fixture) stop(t *testing.T) rig.SelfTelemetry {
	t.Helper()
	require.NoError(t, b.collector.Stop())
	return b.backend.SelfTelemetry(receiver)
}
