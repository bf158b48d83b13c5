// SPDX-License-Identifier: Apache-2.0

package histogram

import (
	"context"
	"fmt"
	"math"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// reference asks OpenTelemetry's own SDK in which bucket it puts durations.
func reference(t *testing.T, durations []uint64) []int {
	t.Helper()
	ctx := context.Background()
	indices := make([]int, len(durations))
	for i, ns := range durations {
		reader := metric.NewManualReader()
		provider := metric.NewMeterProvider(metric.WithReader(reader), metric.WithView(metric.NewView(
			metric.Instrument{Name: "d"},
			metric.Stream{Aggregation: metric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: Scale}},
		)))
		instrument, err := provider.Meter("t").Float64Histogram("d")
		if err != nil {
			t.Fatal(err)
		}
		instrument.Record(ctx, float64(ns)/1e9)
		var data metricdata.ResourceMetrics
		if err := reader.Collect(ctx, &data); err != nil {
			t.Fatal(err)
		}
		point := data.ScopeMetrics[0].Metrics[0].Data.(metricdata.ExponentialHistogram[float64]).DataPoints[0]
		if point.Scale != Scale {
			t.Fatalf("%d ns: the SDK went to scale %d", ns, point.Scale)
		}
		indices[i] = int(point.PositiveBucket.Offset)
		for _, count := range point.PositiveBucket.Counts {
			if count != 0 {
				break
			}
			indices[i]++
		}
	}
	return indices
}

// edges returns every bound and its two neighbours, and the ends of the range.
func edges() []uint64 {
	durations := []uint64{1, 2, 100_000_000_000}
	for _, bound := range Uppers() {
		for _, ns := range []uint64{bound - 1, bound, bound + 1} {
			if ns >= 1 && ns <= 107_000_000_000 {
				durations = append(durations, ns)
			}
		}
	}
	return durations
}

func TestIndexAgreesWithSDK(t *testing.T) {
	durations := edges()
	for i, want := range reference(t, durations) {
		if got := Index(durations[i]) + Offset; got != want {
			t.Errorf("%d ns: bucket %d, want %d, the SDK's", durations[i], got, want)
		}
	}
}

func TestIndexAtBothEndsOfTheRange(t *testing.T) {
	for ns, want := range map[uint64]int{
		0:               0,
		1:               0,
		107_634_741_152: Buckets - 2, // the last bound, floor(2^(27/4) * 1e9)
		107_634_741_153: Buckets - 1,
		math.MaxUint64:  Buckets - 1,
	} {
		t.Run(fmt.Sprint(ns), func(t *testing.T) {
			if got := Index(ns); got != want {
				t.Errorf("Index(%d) = %d, want %d", ns, got, want)
			}
		})
	}
}

func TestUpperBoundsIncrease(t *testing.T) {
	uppers := Uppers()
	for i := 1; i < len(uppers); i++ {
		if uppers[i] < uppers[i-1] {
			t.Errorf("bound %d is %d, below the one before, %d", i, uppers[i], uppers[i-1])
		}
	}
}
