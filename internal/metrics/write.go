// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/pdatautil"
	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// writer writes the points of one collection, resource by resource. A resource or a metric
// that does not fit into a batch continues in the next one.
type writer struct {
	snapshot  uint64
	start, at pcommon.Timestamp // of new points, and of all
	options   *Options
	exemplars map[*point]pointExemplars
	sizer     pmetric.ProtoMarshaler

	batches []Batch
	bytes   int // of the last batch, as it will be encoded
	metrics pmetric.MetricSlice
	of      *resource // the resource of metrics, in the last batch
}

// delimiter is the most bytes that a nested message needs for its field number and its
// length.
const delimiter = 1 + 3

// write writes the metrics of one resource, in the order of their names. Points of metrics
// that nobody wants count as accepted.
func (w *writer) write(r *resource) {
	for m := range metricCount {
		points := r.sorted(m)
		switch {
		case !w.options.Enabled.has(m):
			for _, p := range points {
				p.accept(p.now, w.snapshot)
			}
		case m == getsockoptDuration:
			w.histogram(r, points)
		default:
			w.sum(r, m, points)
		}
	}
}

func (w *writer) full() bool {
	return len(w.batches) == 0 || w.options.MaxBytes > 0 && w.bytes >= w.options.MaxBytes
}

// begin returns a metric without points, under its resource, in a batch that is not full.
func (w *writer) begin(r *resource, of metric) pmetric.Metric {
	if w.full() {
		w.batches = append(w.batches, Batch{Metrics: pmetric.NewMetrics(), Exemplars: make(TakenExemplars), snapshot: w.snapshot})
		w.bytes, w.of = 0, nil
	}
	if w.of != r {
		rm := w.batches[len(w.batches)-1].Metrics.ResourceMetrics().AppendEmpty()
		rm.SetSchemaUrl(workload.SchemaURL)
		pdatautil.PutResource(rm.Resource().Attributes(), r.resource)
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.SetSchemaUrl(workload.SchemaURL)
		pdatautil.PutScope(sm.Scope(), w.options.Version)
		w.metrics, w.of = sm.Metrics(), r
		w.bytes += w.sizer.ResourceMetricsSize(rm) + 2*delimiter
	}
	m := w.metrics.AppendEmpty()
	describe(m, of)
	w.bytes += w.sizer.MetricSize(m) + 2*delimiter
	return m
}

func describe(m pmetric.Metric, of metric) {
	switch of {
	case socketErrors:
		m.SetName(semconv.MetricSocketErrors)
		m.SetDescription(semconv.MetricSocketErrorsDescription)
		m.SetUnit(semconv.MetricSocketErrorsUnit)
	case getsockoptCalls:
		m.SetName(semconv.MetricSocketGetsockoptCalls)
		m.SetDescription(semconv.MetricSocketGetsockoptCallsDescription)
		m.SetUnit(semconv.MetricSocketGetsockoptCallsUnit)
	case getsockoptDuration:
		m.SetName(semconv.MetricSocketGetsockoptDuration)
		m.SetDescription(semconv.MetricSocketGetsockoptDurationDescription)
		m.SetUnit(semconv.MetricSocketGetsockoptDurationUnit)
	}
}

// add puts a point in the batch. It sets its start, and reports whether a point of value 0
// precedes it.
func (w *writer) add(p *point) (isNew bool) {
	batch := &w.batches[len(w.batches)-1]
	batch.points = append(batch.points, p)
	p.send()
	isNew = p.acceptedAt == 0
	if p.start == 0 || isNew && p.start >= w.at {
		p.start = w.start
	}
	// If the wall clock was set back to before the start, a new sequence of points begins.
	// Its first point has no duration, which in OpenTelemetry means that the number was
	// counted before: rates do not jump.
	p.start = min(p.start, w.at)
	return isNew
}

func (w *writer) sum(r *resource, m metric, points []*point) {
	var to pmetric.NumberDataPointSlice
	write := func(p *point, v value, at pcommon.Timestamp) {
		out := to.AppendEmpty()
		out.SetStartTimestamp(p.start)
		out.SetTimestamp(at)
		out.SetIntValue(int64(v.count))
		p.key.put(out.Attributes())
		w.bytes += w.sizer.NumberDataPointSize(out) + delimiter
	}
	for i, p := range points {
		if i == 0 || w.full() {
			sum := w.begin(r, m).SetEmptySum()
			sum.SetIsMonotonic(true)
			sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			to = sum.DataPoints()
			to.EnsureCapacity(len(points) - i)
		}
		if w.add(p) {
			write(p, value{}, p.start)
		}
		write(p, p.now, w.at)
	}
}

func (w *writer) histogram(r *resource, points []*point) {
	var to pmetric.ExponentialHistogramDataPointSlice
	write := func(p *point, v value, at pcommon.Timestamp) {
		out := to.AppendEmpty()
		out.SetStartTimestamp(p.start)
		out.SetTimestamp(at)
		out.SetScale(histogram.Scale)
		out.SetCount(v.count)
		out.SetSum(float64(v.sum) / 1e9)
		if v.count > 0 {
			out.Positive().SetOffset(histogram.Offset + int32(v.first))
			out.Positive().BucketCounts().FromRaw(v.buckets)
			w.exemplars[p].put(out.Exemplars(), w.batches[len(w.batches)-1].Exemplars)
		}
		p.key.put(out.Attributes())
		w.bytes += w.sizer.ExponentialHistogramDataPointSize(out) + delimiter
	}
	for i, p := range points {
		if i == 0 || w.full() {
			h := w.begin(r, getsockoptDuration).SetEmptyExponentialHistogram()
			h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			to = h.DataPoints()
			to.EnsureCapacity(len(points) - i)
		}
		if w.add(p) {
			write(p, value{}, p.start)
		}
		write(p, p.now, w.at)
	}
}

func (k pointKey) put(to pcommon.Map) {
	if k.overflow {
		to.PutBool(semconv.OTelMetricOverflow, true)
		return
	}
	to.EnsureCapacity(k.attributes())
	pdatautil.PutStr(to, semconv.SocketOptionLevel, k.level)
	pdatautil.PutStr(to, semconv.SocketOptionName, k.option)
	pdatautil.PutStr(to, semconv.ErrorType, k.errorType)
	pdatautil.PutStr(to, semconv.SocketEntry, k.entry)
	pdatautil.PutStr(to, semconv.NetworkPeerAddress, k.peerAddress)
	if k.peerPort != 0 {
		to.PutInt(semconv.NetworkPeerPort, int64(k.peerPort))
	}
}
