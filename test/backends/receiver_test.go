// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"context"
	"errors"
	"testing"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver"
)

// running is a receiver in this process, whose next consumer is a sink.
type running struct {
	traces, metrics component.Component
	telemetry       *componenttest.Telemetry
}

// receive starts a receiver with settings in YAML.
func receive(t *testing.T, next *sink, settings string) *running {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(settings))
	if err != nil {
		t.Fatal(err)
	}
	conf, err := retrieved.AsConf()
	if err != nil {
		t.Fatal(err)
	}
	factory := getsockoptreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	if err := conf.Unmarshal(config); err != nil {
		t.Fatal(err)
	}
	r := &running{telemetry: componenttest.NewTelemetry()}
	t.Cleanup(func() {
		if err := r.telemetry.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	set := receivertest.NewNopSettings(factory.Type())
	set.TelemetrySettings = r.telemetry.NewTelemetrySettings()
	if r.traces, err = factory.CreateTraces(t.Context(), set, config, next); err != nil {
		t.Fatal(err)
	}
	if r.metrics, err = factory.CreateMetrics(t.Context(), set, config, next); err != nil {
		t.Fatal(err)
	}
	for _, c := range []component.Component{r.metrics, r.traces} {
		if err := c.Start(t.Context(), componenttest.NewNopHost()); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// stop ends the receiver, which sends all that it holds before.
func (r *running) stop(t *testing.T) {
	t.Helper()
	if err := errors.Join(r.traces.Shutdown(context.Background()), r.metrics.Shutdown(context.Background())); err != nil {
		t.Fatal(err)
	}
}

// own is the last self-telemetry of the receiver: the points of a metric with
// all the attributes (key, value, key, value).
func (r *running) own(t *testing.T, name string, attributes ...string) (n int) {
	t.Helper()
	m, err := r.telemetry.GetMetric("otelcol_receiver_getsockopt_" + name)
	if err != nil {
		t.Fatal(err)
	}
	data, isSum := m.Data.(metricdata.Sum[int64])
	if !isSum {
		t.Fatalf("%s is %T", name, m.Data)
	}
point:
	for _, p := range data.DataPoints {
		for i := 0; i < len(attributes); i += 2 {
			if v, _ := p.Attributes.Value(attribute.Key(attributes[i])); v.AsString() != attributes[i+1] {
				continue point
			}
		}
		n += int(p.Value)
	}
	return n
}

// balance checks the receiver's telemetry at rest, and that its metrics hold what
// it reports to have counted.
func (r *running) balance(t *testing.T, counted uint64) {
	t.Helper()
	seen, filtered, lost := r.own(t, "seen"), r.own(t, "filtered"), r.own(t, "lost")
	if outcomes := filtered + r.own(t, "sampled_out") + r.own(t, "emitted") + lost; seen != outcomes {
		t.Errorf("%d calls were seen, %d are accounted for as spans", seen, outcomes)
	}
	if outcomes := filtered + r.own(t, "uncounted") + int(counted); seen != outcomes {
		t.Errorf("%d calls were seen, %d are accounted for in metrics", seen, outcomes)
	}
}

// lostNone checks that nothing was lost between the decision and the consumer:
// thresholds describe sampling, not loss.
func (r *running) lostNone(t *testing.T) {
	t.Helper()
	for _, reason := range []string{"ring_full", "malformed", "consumer_refused", "consumer_permanent", "shutdown"} {
		if n := r.own(t, "lost", "reason", reason); n > 0 {
			t.Errorf("%d spans were lost: %s", n, reason)
		}
	}
	for _, reason := range []string{"no_entry", "no_exit", "no_storage", "no_completion", "seccomp"} {
		if n := r.own(t, "lost", "reason", reason); n > 0 {
			t.Logf("%d calls of the host were lost: %s", n, reason)
		}
	}
}
