// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/metrics"
	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// spansResult is what a span costs the Collector's process, from the ring to a
// consumer that discards it, garbage collection included.
type spansResult struct {
	CPU        summary `json:"cpu_ns"`
	PerSecond  float64 `json:"per_second_a_core"`
	Allocs     summary `json:"allocations"`
	AllocBytes summary `json:"allocated_bytes"`
	Made       uint64  `json:"made"`
	Spans      uint64  `json:"spans"`
}

// recordResult is what the benchmark of one record finds: no ring, and no receiver.
type recordResult struct {
	CPU        float64 `json:"cpu_ns"`
	Allocs     int64   `json:"allocations"`
	AllocBytes int64   `json:"allocated_bytes"`
}

// spansTurn is how many calls go by between two readings: so many that what the receiver does
// without calls, which has a budget of its own, adds little to a span.
const (
	spansTurn  = 100_000
	spansBatch = 1000
)

// defaultGates is the Collector as it comes.
const defaultGates = "default"

// measureSpans runs a receiver whose every call becomes a span, as Collectors are, and
// with the feature gate that lets batches' memory be used again.
func measureSpans(ctx context.Context, s settings, c cpus, r *report) error {
	r.Spans = map[string]spansResult{}
	fmt.Println("\na span, from the ring to a consumer that discards it")
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tns of CPU\tmin\tq1\tq3\ta second and core\tallocations\tbytes\tcalls made\tspans\t")
	for _, m := range []struct {
		name  string
		asked []string
	}{
		{defaultGates, []string{askStart}},
		{poolGate, []string{askPool, askStart}},
	} {
		result, err := spansOf(ctx, s, c, m.asked)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		r.Spans[m.name] = result
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.1f\t%.0f\t%d\t%d\t\n", m.name,
			result.CPU.Median, result.CPU.Min, result.CPU.Q1, result.CPU.Q3, result.PerSecond,
			result.Allocs.Median, result.AllocBytes.Median, result.Made, result.Spans)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	b := testing.Benchmark(recordToSpan)
	r.Record = &recordResult{CPU: b.Extra[cpuPerOp], Allocs: b.AllocsPerOp(), AllocBytes: b.AllocedBytesPerOp()}
	fmt.Printf("a record to a span, Go benchmark: %.0f ns of CPU, %d allocations, %d bytes\n",
		r.Record.CPU, r.Record.Allocs, r.Record.AllocBytes)
	return nil
}

func spansOf(ctx context.Context, s settings, c cpus, asked []string) (result spansResult, err error) {
	p, err := startCollector(ctx)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	w, err := startWorker(ctx, c.load, "load")
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	for _, what := range asked {
		if _, err := p.ask(what); err != nil {
			return result, err
		}
	}
	var cpu, allocs, bytes []float64
	for turn := range 1 + s.rounds {
		before, err := p.ask(askState)
		if err != nil {
			return result, err
		}
		if _, err := w.do(order{name: loadTCP, batches: spansTurn / spansBatch, calls: spansBatch, every: spansBatch * callEvery}); err != nil {
			return result, err
		}
		after, err := p.awaitSpans(before.Spans + spansTurn)
		if err != nil {
			return result, err
		}
		if turn == 0 { // tables are filled, the heap grows
			continue
		}
		n := after.Spans - before.Spans
		result.Made += spansTurn
		result.Spans += n
		cpu = append(cpu, float64(after.CPU-before.CPU)/float64(n))
		allocs = append(allocs, float64(after.Allocs-before.Allocs)/float64(n))
		bytes = append(bytes, float64(after.AllocBytes-before.AllocBytes)/float64(n))
	}
	result.CPU, result.Allocs, result.AllocBytes = summarize(cpu), summarize(allocs), summarize(bytes)
	result.PerSecond = 1e9 / result.CPU.Median
	if _, err := p.ask(askStop); err != nil {
		return result, err
	}
	if result.Spans < result.Made-result.Made/100 {
		return result, fmt.Errorf("%d spans of %d calls arrived, less than 99 %%: the host is too busy", result.Spans, result.Made)
	}
	return result, nil
}

// collectionResult is what one collection takes.
type collectionResult struct {
	Series   int     `json:"series"`
	Snapshot summary `json:"snapshot_us"` // kernel to Go
	Build    summary `json:"build_us"`    // Go to pdata
	Allocs   float64 `json:"allocations"`
	Bytes    float64 `json:"allocated_bytes"`
}

// measureCollection times the collection of series that are there.
func measureCollection(ctx context.Context, s settings, c cpus, r *report) error {
	fmt.Println("\na collection")
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "series\tsnapshot µs\tq1\tq3\tbuild µs\tq1\tq3\tallocations\tbytes\t")
	for _, n := range []int{10, 100, 2000, manySeries} {
		h, err := collectionOf(ctx, s, c, n)
		if err != nil {
			return err
		}
		r.Collection = append(r.Collection, h)
		fmt.Fprintf(table, "%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", h.Series,
			h.Snapshot.Median, h.Snapshot.Q1, h.Snapshot.Q3, h.Build.Median, h.Build.Q1, h.Build.Q3, h.Allocs, h.Bytes)
	}
	return table.Flush()
}

func collectionOf(ctx context.Context, s settings, c cpus, series int) (h collectionResult, err error) {
	const defaultLimit = 2000
	// The load first: it tries all calls when it starts.
	w, err := startServices(ctx, c.load, manyServices)
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	// One owner may hold eight ninths of the series.
	p, err := probe.Start(ctx, probe.Options{SeriesLimit: max(series+series/4, defaultLimit)})
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	all := order{name: loadSpread, series: series, batches: manyServices, calls: series / manyServices}
	b := metrics.New(metrics.Options{
		Start:    time.Now(),
		Enabled:  metrics.Enabled{Calls: true, Duration: true, Errors: true},
		Resource: workload.NewGroups(workload.NewProcfs("/proc"), time.Now).Resource,
	})
	var snapshots, builds []float64
	var before, after runtime.MemStats
	times := 5 * s.rounds
	for i := range times + 1 {
		// A series without calls since the last snapshot would not be in it.
		if _, err := w.do(all); err != nil {
			return h, err
		}
		runtime.ReadMemStats(&before)
		begin := time.Now()
		snapshot, err := p.Snapshot()
		if err != nil {
			return h, err
		}
		read := time.Now()
		b.Add(&snapshot, 0)
		for _, batch := range b.Build(nil, time.Now()) {
			b.Done(batch, true)
		}
		built := time.Now()
		runtime.ReadMemStats(&after)
		if h.Series = len(snapshot.Series); h.Series < series {
			return h, fmt.Errorf("%d series, want %d", h.Series, series)
		}
		if i == 0 { // fills tables
			continue
		}
		snapshots = append(snapshots, float64(read.Sub(begin))/1e3)
		builds = append(builds, float64(built.Sub(read))/1e3)
		h.Allocs += float64(after.Mallocs-before.Mallocs) / float64(times)
		h.Bytes += float64(after.TotalAlloc-before.TotalAlloc) / float64(times)
	}
	h.Snapshot, h.Build = summarize(snapshots), summarize(builds)
	return h, nil
}
