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

// writer writes the points of one snapshot, resource by resource. A resource or a metric
// that does not fit into a batch continues in the next one.
type writer struct {
	start, at pcommon.Timestamp
	options   *Options
	sizer     pmetric.ProtoMarshaler

	batches []Batch
	bytes   int // of the last batch, as it will be encoded
	metrics pmetric.MetricSlice
	of      *folded // the resource of metrics, in the last batch
}

// delimiter is the most bytes that a nested message needs for its field number and its
// length.
const delimiter = 1 + 3

// write writes the metrics of one resource, in the order of their names.
func (w *writer) write(f *folded) {
	enabled := w.options.Enabled
	if enabled.Errors {
		w.sum(f, f.errors, func(m pmetric.Metric) {
			m.SetName(semconv.MetricSocketErrors)
			m.SetDescription(semconv.MetricSocketErrorsDescription)
			m.SetUnit(semconv.MetricSocketErrorsUnit)
		})
	}
	if enabled.Calls {
		w.sum(f, f.calls, func(m pmetric.Metric) {
			m.SetName(semconv.MetricSocketGetsockoptCalls)
			m.SetDescription(semconv.MetricSocketGetsockoptCallsDescription)
			m.SetUnit(semconv.MetricSocketGetsockoptCallsUnit)
		})
	}
	if enabled.Duration {
		w.histogram(f, func(m pmetric.Metric) {
			m.SetName(semconv.MetricSocketGetsockoptDuration)
			m.SetDescription(semconv.MetricSocketGetsockoptDurationDescription)
			m.SetUnit(semconv.MetricSocketGetsockoptDurationUnit)
		})
	}
}

func (w *writer) full() bool {
	return len(w.batches) == 0 || w.options.MaxBytes > 0 && w.bytes >= w.options.MaxBytes
}

// begin returns a metric without points, under its resource, in a batch that is not full.
func (w *writer) begin(f *folded, describe func(pmetric.Metric)) pmetric.Metric {
	if w.full() {
		w.batches = append(w.batches, Batch{pmetric.NewMetrics(), make(TakenExemplars)})
		w.bytes, w.of = 0, nil
	}
	if w.of != f {
		rm := w.batches[len(w.batches)-1].Metrics.ResourceMetrics().AppendEmpty()
		rm.SetSchemaUrl(workload.SchemaURL)
		pdatautil.PutResource(rm.Resource().Attributes(), f.resource)
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.SetSchemaUrl(workload.SchemaURL)
		pdatautil.PutScope(sm.Scope(), w.options.Version)
		w.metrics, w.of = sm.Metrics(), f
		w.bytes += w.sizer.ResourceMetricsSize(rm) + 2*delimiter
	}
	m := w.metrics.AppendEmpty()
	describe(m)
	w.bytes += w.sizer.MetricSize(m) + 2*delimiter
	return m
}

func (w *writer) sum(f *folded, counts map[pointKey]uint64, describe func(pmetric.Metric)) {
	var points pmetric.NumberDataPointSlice
	for i, key := range sorted(counts) {
		if i == 0 || w.full() {
			sum := w.begin(f, describe).SetEmptySum()
			sum.SetIsMonotonic(true)
			sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			points = sum.DataPoints()
			points.EnsureCapacity(len(counts) - i)
		}
		p := points.AppendEmpty()
		p.SetStartTimestamp(w.start)
		p.SetTimestamp(w.at)
		p.SetIntValue(int64(counts[key]))
		key.put(p.Attributes())
		w.bytes += w.sizer.NumberDataPointSize(p) + delimiter
	}
}

func (w *writer) histogram(f *folded, describe func(pmetric.Metric)) {
	var points pmetric.ExponentialHistogramDataPointSlice
	for i, key := range sorted(f.durations) {
		if i == 0 || w.full() {
			h := w.begin(f, describe).SetEmptyExponentialHistogram()
			h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			points = h.DataPoints()
			points.EnsureCapacity(len(f.durations) - i)
		}
		d := f.durations[key]
		p := points.AppendEmpty()
		p.SetStartTimestamp(w.start)
		p.SetTimestamp(w.at)
		p.SetScale(histogram.Scale)
		p.SetCount(d.count)
		p.SetSum(float64(d.sum) / 1e9)
		first, buckets := trim(d.buckets)
		p.Positive().SetOffset(histogram.Offset + int32(first))
		p.Positive().BucketCounts().FromRaw(buckets)
		d.exemplars.put(p.Exemplars(), w.batches[len(w.batches)-1].Exemplars)
		key.put(p.Attributes())
		w.bytes += w.sizer.ExponentialHistogramDataPointSize(p) + delimiter
	}
}

// trim removes empty buckets at both ends. A point always has a bucket that is not empty.
func trim(buckets []uint64) (first int, rest []uint64) {
	end := len(buckets)
	for first < end && buckets[first] == 0 {
		first++
	}
	for end > first && buckets[end-1] == 0 {
		end--
	}
	return first, buckets[first:end]
}

func (k pointKey) put(to pcommon.Map) {
	if k.overflow {
		to.PutBool(semconv.OTelMetricOverflow, true)
		return
	}
	to.EnsureCapacity(4)
	pdatautil.PutStr(to, semconv.SocketOptionLevel, k.level)
	pdatautil.PutStr(to, semconv.SocketOptionName, k.option)
	pdatautil.PutStr(to, semconv.ErrorType, k.errorType)
	pdatautil.PutStr(to, semconv.SocketEntry, k.entry)
}
