// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/internal/otlpsink"
)

// SelfTelemetry is the receiver's own account of every call.
type SelfTelemetry struct {
	Seen, Filtered, Expired, SampledOut, Emitted uint64
	Lost, Uncounted, InFlight                    map[string]uint64 // by reason; by signal
	// Fill of the kernel's tables; zero once the receiver has stopped.
	Series, SeriesLimit, Groups, GroupsLimit, RingUsed, RingSize uint64
	Hook                                                         string
}

func sum(m map[string]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}

// Check looks at the two equations of docs/accounting.md: every call that was
// seen has one end as a span, and one as a number. counted is the sum of
// socket.getsockopt.calls as the backend has it, points that have expired included.
func (b SelfTelemetry) Check(counted uint64) error {
	if b.Seen == 0 {
		return fmt.Errorf("the receiver has sent no self-telemetry")
	}
	if ends := b.Filtered + b.SampledOut + b.Emitted + sum(b.Lost) + b.InFlight["traces"]; b.Seen != ends {
		return fmt.Errorf("spans do not add up: %d seen, %d accounted for: %+v", b.Seen, ends, b)
	}
	if ends := counted + b.Filtered + sum(b.Uncounted) + b.InFlight["metrics"]; b.Seen != ends {
		return fmt.Errorf("metrics do not add up: %d seen, %d counted, %d accounted for: %+v", b.Seen, counted, ends, b)
	}
	return nil
}

// AtRest looks at the equations when all calls have returned and all that can
// be sent is sent: nothing may be in flight.
func (b SelfTelemetry) AtRest(counted uint64) error {
	if b.InFlight["traces"] != 0 || b.InFlight["metrics"] != 0 {
		return fmt.Errorf("in flight: %+v", b)
	}
	return b.Check(counted)
}

func (b *Backend) takeOwn(_ http.ResponseWriter, r *http.Request) {
	batch, err := otlpsink.Read(r)
	if err != nil || batch.Metrics == nil {
		return // the wait for the telemetry then fails
	}
	reported := map[string]*SelfTelemetry{}
	for _, m := range otlpsink.Metrics(*batch.Metrics) {
		name, found := strings.CutPrefix(m.Name(), "otelcol_receiver_getsockopt_")
		if !found {
			continue
		}
		for _, p := range points(m).All() {
			of := otlpsink.Text(p.Attributes(), "receiver")
			if reported[of] == nil {
				reported[of] = newSelfTelemetry()
			}
			reported[of].put(name, p)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for receiver, telemetry := range reported {
		if before := b.own[receiver]; telemetry.Seen < before.Seen { // it has started anew
			b.ended[receiver] += before.Emitted
		}
		b.own[receiver] = *telemetry
	}
}

func newSelfTelemetry() *SelfTelemetry {
	return &SelfTelemetry{Lost: map[string]uint64{}, Uncounted: map[string]uint64{}, InFlight: map[string]uint64{}}
}

func points(m pmetric.Metric) pmetric.NumberDataPointSlice {
	if m.Type() == pmetric.MetricTypeGauge {
		return m.Gauge().DataPoints()
	}
	return m.Sum().DataPoints()
}

func (b *SelfTelemetry) put(name string, p pmetric.NumberDataPoint) {
	n := uint64(p.IntValue())
	switch name {
	case "lost":
		b.Lost[otlpsink.Text(p.Attributes(), "reason")] = n
	case "uncounted":
		b.Uncounted[otlpsink.Text(p.Attributes(), "reason")] = n
	case "in_flight":
		b.InFlight[otlpsink.Text(p.Attributes(), "signal")] = n
	case "hook":
		b.Hook = otlpsink.Text(p.Attributes(), "hook")
	default:
		if to := b.number(name); to != nil {
			*to = n
		}
	}
}

func (b *SelfTelemetry) number(name string) *uint64 {
	return map[string]*uint64{
		"seen": &b.Seen, "filtered": &b.Filtered, "expired": &b.Expired, "sampled_out": &b.SampledOut, "emitted": &b.Emitted,
		"series": &b.Series, "series_limit": &b.SeriesLimit, "groups": &b.Groups, "groups_limit": &b.GroupsLimit,
		"ring_used": &b.RingUsed, "ring_size": &b.RingSize,
	}[name]
}

// SelfTelemetry is what a receiver last reported, by the Collector's name for it,
// such as getsockopt or getsockopt/two.
func (b *Backend) SelfTelemetry(receiver string) SelfTelemetry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.own[receiver]
}

// AllEmitted is how many spans a receiver reports as sent, in all of its
// starts.
func (b *Backend) AllEmitted(receiver string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended[receiver] + b.own[receiver].Emitted
}

// Rest waits until a receiver has accounted for exactly the calls that were
// made since its start, and the backend has them: the load must have ended.
func (b *Backend) Rest(receiver string, made uint64) (SelfTelemetry, error) {
	var telemetry SelfTelemetry
	err := harness.Await(startLimit, func() error {
		data, err := b.Data(receiver)
		if err != nil {
			return err
		}
		telemetry = b.SelfTelemetry(receiver)
		if err := telemetry.AtRest(data.Calls()); err != nil {
			return err
		}
		// Points of the last collection may have expired since.
		if ended := data.Ended(); telemetry.Expired < ended || telemetry.Expired > data.Calls() {
			return fmt.Errorf("%d of %d calls are in points that are no longer sent, the receiver reports %d", ended, data.Calls(), telemetry.Expired)
		}
		if data.Calls() != made {
			return fmt.Errorf("%d calls counted, %d made: %+v", data.Calls(), made, telemetry)
		}
		if data.Spans != telemetry.Emitted {
			return fmt.Errorf("%d spans arrived, %d were sent: %+v", data.Spans, telemetry.Emitted, telemetry)
		}
		return nil
	})
	return telemetry, err
}
