// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// writer writes the points of one snapshot.
type writer struct {
	start, at pcommon.Timestamp
	enabled   Enabled
}

// write writes the metrics of one resource, in the order of their names.
func (w *writer) write(to pmetric.MetricSlice, f *folded) {
	if w.enabled.Errors && len(f.errors) > 0 {
		m := to.AppendEmpty()
		m.SetName(semconv.MetricSocketErrors)
		m.SetDescription(semconv.MetricSocketErrorsDescription)
		m.SetUnit(semconv.MetricSocketErrorsUnit)
		w.sum(m, f.errors)
	}
	if w.enabled.Calls && len(f.calls) > 0 {
		m := to.AppendEmpty()
		m.SetName(semconv.MetricSocketGetsockoptCalls)
		m.SetDescription(semconv.MetricSocketGetsockoptCallsDescription)
		m.SetUnit(semconv.MetricSocketGetsockoptCallsUnit)
		w.sum(m, f.calls)
	}
	if w.enabled.Duration && len(f.durations) > 0 {
		m := to.AppendEmpty()
		m.SetName(semconv.MetricSocketGetsockoptDuration)
		m.SetDescription(semconv.MetricSocketGetsockoptDurationDescription)
		m.SetUnit(semconv.MetricSocketGetsockoptDurationUnit)
		w.histogram(m, f.durations)
	}
}

func (w *writer) sum(m pmetric.Metric, counts map[pointKey]uint64) {
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	points := sum.DataPoints()
	points.EnsureCapacity(len(counts))
	for _, key := range sorted(counts) {
		p := points.AppendEmpty()
		p.SetStartTimestamp(w.start)
		p.SetTimestamp(w.at)
		p.SetIntValue(int64(counts[key]))
		key.put(p.Attributes())
	}
}

func (w *writer) histogram(m pmetric.Metric, durations map[pointKey]*duration) {
	h := m.SetEmptyExponentialHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	points := h.DataPoints()
	points.EnsureCapacity(len(durations))
	for _, key := range sorted(durations) {
		d := durations[key]
		p := points.AppendEmpty()
		p.SetStartTimestamp(w.start)
		p.SetTimestamp(w.at)
		p.SetScale(histogram.Scale)
		p.SetCount(d.count)
		p.SetSum(float64(d.sum) / 1e9)
		first, buckets := trim(d.buckets)
		p.Positive().SetOffset(histogram.Offset + int32(first))
		p.Positive().BucketCounts().FromRaw(buckets)
		putExemplars(p.Exemplars(), d.exemplars)
		key.put(p.Attributes())
	}
}

// trim cuts empty buckets off both ends. A point always has one that is not.
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
	putStr(to, semconv.SocketOptionLevel, k.level)
	putStr(to, semconv.SocketOptionName, k.option)
	putStr(to, semconv.ErrorType, k.errorType)
	putStr(to, semconv.SocketEntry, k.entry)
}

func putStr(to pcommon.Map, key, value string) {
	if value != "" {
		to.PutStr(key, value)
	}
}

func putResource(to pcommon.Map, r *workload.Resource) {
	to.EnsureCapacity(len(r.Attributes))
	for i := range r.Attributes {
		if a := &r.Attributes[i]; a.IsInt {
			to.PutInt(a.Key, a.Int)
		} else {
			to.PutStr(a.Key, a.Str)
		}
	}
}
