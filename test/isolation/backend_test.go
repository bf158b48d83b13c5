// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/test/internal/otlpsink"
)

const (
	callsMetric    = "socket.getsockopt.calls"
	durationMetric = "socket.getsockopt.duration"
	errorsMetric   = "socket.errors"
	ownPrefix      = "otelcol_receiver_getsockopt_"
)

// backend takes what a Collector sends, and checks each number by those before it.
type backend struct {
	held     sync.RWMutex // while it is locked no spans are taken
	mu       sync.Mutex
	points   map[string]*point // by identity
	sums     map[pcommon.Timestamp]uint64
	last     pcommon.Timestamp
	spans    []span
	largest  int // encoded request of spans, in bytes
	accounts []account
	errs     []error
}

// point is what was sent of one point of a metric: its sequences, one after the other.
type point struct {
	metric, service, container, option, errorType string
	pid                                           string
	peer                                          string // address and port
	overflow                                      bool
	starts                                        int
	start, at                                     pcommon.Timestamp
	value                                         uint64 // of the newest sequence
	before                                        uint64 // the sum of those that ended
}

func (p *point) total() uint64 { return p.before + p.value }

type span struct {
	service, name, container string
	errorType                string
	end                      pcommon.Timestamp
	threshold                uint64 // of 56 bits
}

// weight is how many calls the span stands for.
func (s span) weight() float64 { return math.Exp2(56) / (math.Exp2(56) - float64(s.threshold)) }

// account is one export of the receiver's own metrics.
type account map[string]uint64

func newBackend() *backend {
	return &backend{points: map[string]*point{}, sums: map[pcommon.Timestamp]uint64{}}
}

func (b *backend) fail(err error) {
	if errors.Is(err, otlpsink.ErrBody) {
		return // a Collector that stops gives up an export of its own metrics
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errs = append(b.errs, err)
}

// holdSpans makes all spans wait until the test releases them.
func (b *backend) holdSpans(t *testing.T) (release func()) {
	t.Helper()
	b.held.Lock()
	release = sync.OnceFunc(b.held.Unlock)
	t.Cleanup(release)
	return release
}

// take returns no error: the Collector would send no more.
func (b *backend) take(batch otlpsink.Batch) error {
	if batch.Traces != nil {
		b.held.RLock()
		defer b.held.RUnlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if batch.Traces != nil {
		b.takeSpans(*batch.Traces)
		return nil
	}
	own := account{}
	for resource, m := range otlpsink.Metrics(*batch.Metrics) {
		if name, found := strings.CutPrefix(m.Name(), ownPrefix); found {
			own.put(name, m)
		} else if strings.HasPrefix(m.Name(), "socket.") {
			b.takeMetric(resource, m)
		}
	}
	if len(own) > 0 {
		b.accounts = append(b.accounts, own)
	}
	return nil
}

func (a account) put(name string, m pmetric.Metric) {
	points := pmetric.NewNumberDataPointSlice()
	switch m.Type() {
	case pmetric.MetricTypeSum:
		points = m.Sum().DataPoints()
	case pmetric.MetricTypeGauge:
		points = m.Gauge().DataPoints()
	}
	for _, p := range points.All() {
		key := name
		if signal := otlpsink.Text(p.Attributes(), "signal"); signal != "" {
			key += " " + signal
		}
		a[key] += uint64(p.IntValue())
	}
}

func (b *backend) takeSpans(td ptrace.Traces) {
	b.largest = max(b.largest, (&ptrace.ProtoMarshaler{}).TracesSize(td))
	for resource, s := range otlpsink.Spans(td) {
		digits, found := strings.CutPrefix(s.TraceState().AsRaw(), "ot=th:")
		threshold, err := strconv.ParseUint((digits + strings.Repeat("0", 14))[:14], 16, 64)
		if err != nil || !found {
			b.errs = append(b.errs, fmt.Errorf("a span with the tracestate %q: %w", s.TraceState().AsRaw(), err))
		}
		b.spans = append(b.spans, span{
			service:   otlpsink.Text(resource.Attributes(), "service.name"),
			container: otlpsink.Text(resource.Attributes(), "container.id"),
			name:      strings.TrimPrefix(s.Name(), "getsockopt "),
			errorType: otlpsink.Text(s.Attributes(), "error.type"),
			end:       s.EndTimestamp(), threshold: threshold,
		})
	}
}

func (b *backend) takeMetric(resource pcommon.Resource, m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			b.takePoint(resource, m.Name(), p.Attributes(), p.StartTimestamp(), p.Timestamp(), uint64(p.IntValue()))
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			b.takePoint(resource, m.Name(), p.Attributes(), p.StartTimestamp(), p.Timestamp(), p.Count())
		}
	default:
		b.errs = append(b.errs, fmt.Errorf("a metric %s of type %v", m.Name(), m.Type()))
	}
}

func (b *backend) takePoint(resource pcommon.Resource, metric string, attributes pcommon.Map, start, at pcommon.Timestamp, value uint64) {
	of := resource.Attributes()
	id := fmt.Sprint(metric, of.AsRaw(), attributes.AsRaw())
	p := b.points[id]
	if p == nil {
		p = &point{
			metric: metric, service: otlpsink.Text(of, "service.name"), container: otlpsink.Text(of, "container.id"),
			pid:    otlpsink.Text(of, "process.pid"),
			peer:   strings.TrimSpace(otlpsink.Text(attributes, "network.peer.address") + " " + otlpsink.Text(attributes, "network.peer.port")),
			option: otlpsink.Text(attributes, "socket.option.name"), errorType: otlpsink.Text(attributes, "error.type"),
			overflow: otlpsink.Text(attributes, "otel.metric.overflow") == "true",
		}
		b.points[id] = p
	}
	bad := func(format string, args ...any) {
		b.errs = append(b.errs, fmt.Errorf("%s: %s", id, fmt.Sprintf(format, args...)))
	}
	if start == p.start {
		if value < p.value {
			bad("fell from %d to %d", p.value, value)
		}
		if at <= p.at {
			bad("was sent for %v after %v", at, p.at)
		}
	} else {
		if start <= p.at {
			bad("starts at %v, and was sent for %v before", start, p.at)
		}
		if value != 0 || at != start {
			bad("begins with %d at %v, want 0 at its start %v", value, at, start)
		}
		p.before += p.value
		p.starts++
	}
	p.start, p.at, p.value = start, at, value
	if at != start {
		b.last = max(b.last, at)
		if metric == callsMetric {
			b.sums[at] += value
		}
	}
}

// check returns what was wrong with the numbers: with points, and with the equations of
// docs/accounting.md at each export of the receiver's own metrics.
func (b *backend) check() error {
	sums := map[uint64]bool{0: true}
	for _, sum := range b.sums {
		sums[sum] = true
	}
	errs := slices.Clone(b.errs)
	var first uint64 // the calls of the first reading, which is sent with no collection
	for i, a := range b.accounts {
		if a["seen"] != a["filtered"]+a["sampled_out"]+a["emitted"]+a["lost"]+a["in_flight traces"] {
			errs = append(errs, fmt.Errorf("spans of account %d do not add up: %v", i, a))
		}
		sent := a["seen"] - a["filtered"] - a["uncounted"] - a["in_flight metrics"] - a["expired"]
		if first == 0 {
			first = a["seen"]
		}
		if a["seen"] != first && !sums[sent] {
			errs = append(errs, fmt.Errorf("no collection had the %d calls that account %d has: %v", sent, i, a))
		}
	}
	return errors.Join(errs[:min(len(errs), 10)]...)
}

// atRest returns what is wrong at the end: every call was sent once.
func (b *backend) atRest() error {
	if len(b.accounts) == 0 {
		return errors.New("the receiver sent no metrics of its own")
	}
	a := b.accounts[len(b.accounts)-1]
	if ends := b.calls(all) + a["filtered"] + a["uncounted"]; a["seen"] != ends || a["in_flight metrics"] != 0 {
		return fmt.Errorf("%d calls were seen, %d have an end: %v", a["seen"], ends, a)
	}
	if sent := uint64(len(b.spans)); sent != a["emitted"] {
		return fmt.Errorf("%d spans arrived, %d were sent: %v", sent, a["emitted"], a)
	}
	return nil
}

// calls is the sum of all that was sent of socket.getsockopt.calls, expired points included.
func (b *backend) calls(which func(*point) bool) (n uint64) {
	for _, p := range b.points {
		if p.metric == callsMetric && which(p) {
			n += p.total()
		}
	}
	return n
}

func all(*point) bool { return true }

// ofService is points of a service that are no overflow.
func ofService(name string) func(*point) bool {
	return func(p *point) bool { return p.service == name && !p.overflow }
}

// current is how many points of a metric the last collection had.
func (b *backend) current(metric string, which func(*point) bool) (n int) {
	for _, p := range b.points {
		if p.metric == metric && p.at == b.last && which(p) {
			n++
		}
	}
	return n
}

func (b *backend) spansOf(which func(span) bool) (spans []span) {
	for _, s := range b.spans {
		if which(s) {
			spans = append(spans, s)
		}
	}
	return spans
}
