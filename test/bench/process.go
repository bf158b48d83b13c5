// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"
)

// processResult is the cost of the receiver for its process.
type processResult struct {
	Without memory `json:"without_receiver"`
	With    memory `json:"with_receiver"`
	// With is at that many spans a second and series.
	SpansPerSecond float64 `json:"spans_per_second"`
	Series         int     `json:"series"`

	FirstSpan summary `json:"first_span_ms"` // from the start of the receiver
	Start     summary `json:"start_ms"`
	Shutdown  summary `json:"shutdown_ms"` // with a full ring
	Pending   summary `json:"spans_at_shutdown"`

	IdleCPU float64 `json:"idle_cpu_percent"` // of a core
}

const (
	idleFor     = 10 * time.Second
	steadySpans = 1000 // a second
	lifeRounds  = 5
)

// measureProcess is the third part.
func measureProcess(ctx context.Context, s settings, c cpus, r *report) (err error) {
	w, err := startWorker(ctx, c.load, "load")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	var result processResult
	if err := result.steady(ctx, s, w); err != nil {
		return fmt.Errorf("memory and idle: %w", err)
	}
	if err := result.lives(ctx, w); err != nil {
		return fmt.Errorf("start and shutdown: %w", err)
	}
	r.Process = &result
	result.print()
	return nil
}

// steady lets a receiver idle, and then take a steady load.
func (r *processResult) steady(ctx context.Context, s settings, w *worker) (err error) {
	p, err := startCollector(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if _, err := p.ask(askCollect); err != nil {
		return err
	}
	if r.Without, err = memoryOf(p.PID()); err != nil {
		return err
	}
	if _, err := p.ask(askStart); err != nil {
		return err
	}
	time.Sleep(time.Second) // for what the start leaves to do
	idle, err := p.ask(askState)
	if err != nil {
		return err
	}
	time.Sleep(idleFor)
	idled, err := p.ask(askState)
	if err != nil {
		return err
	}
	r.IdleCPU = 100 * float64(idled.CPU-idle.CPU) / float64(idleFor)

	const series = 2000
	begin := time.Now()
	if err := w.paced(order{name: loadSpread, series: series}, steadySpans, s.steady); err != nil {
		return err
	}
	after, err := p.ask(askState)
	if err != nil {
		return err
	}
	r.SpansPerSecond, r.Series = float64(after.Spans-idled.Spans)/time.Since(begin).Seconds(), series
	if r.With, err = memoryOf(p.PID()); err != nil {
		return err
	}
	_, err = p.ask(askStop)
	return err
}

// lives starts and stops receivers while calls are made, and stops them with a
// full ring.
func (r *processResult) lives(ctx context.Context, w *worker) error {
	var starts, firsts, shutdowns, pending []float64
	for range lifeRounds {
		started, stopped, left, err := life(ctx, w)
		if err != nil {
			return err
		}
		starts = append(starts, milliseconds(started.Took))
		firsts = append(firsts, milliseconds(started.FirstSpan))
		shutdowns = append(shutdowns, milliseconds(stopped.Took))
		pending = append(pending, float64(left))
	}
	r.Start, r.FirstSpan = summarize(starts), summarize(firsts)
	r.Shutdown, r.Pending = summarize(shutdowns), summarize(pending)
	return nil
}

func life(ctx context.Context, w *worker) (started, stopped state, left uint64, err error) {
	p, err := startCollector(ctx)
	if err != nil {
		return started, stopped, 0, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	type answer struct {
		state
		error
	}
	start := make(chan answer, 1)
	go func() {
		s, err := p.ask(askAll)
		start <- answer{s, err}
	}()
	// Calls go on all the while, so that the first one after the hook is
	// attached is the first span.
	var done answer
	for waiting := true; waiting; {
		if _, err := w.do(order{name: loadType, batches: 1, calls: 1}); err != nil {
			return started, stopped, 0, err
		}
		select {
		case done = <-start:
			waiting = false
		case <-time.After(time.Millisecond):
		}
	}
	if done.error != nil {
		return started, stopped, 0, done.error
	}
	started = done.state
	for deadline := time.Now().Add(10 * time.Second); started.FirstSpan == 0; {
		if time.Now().After(deadline) {
			return started, stopped, 0, errors.New("no span came in 10 s")
		}
		if _, err := w.do(order{name: loadType, batches: 1, calls: 1}); err != nil {
			return started, stopped, 0, err
		}
		s, err := p.ask(askState)
		if err != nil {
			return started, stopped, 0, err
		}
		started.FirstSpan = s.FirstSpan
	}
	if _, err := p.ask(askBlock); err != nil {
		return started, stopped, 0, err
	}
	// More than the ring holds.
	if _, err := w.do(order{name: loadType, batches: 40, calls: batchCalls}); err != nil {
		return started, stopped, 0, err
	}
	full, err := p.ask(askState)
	if err != nil {
		return started, stopped, 0, err
	}
	stopped, err = p.ask(askStop)
	return started, stopped, stopped.Spans - full.Spans, err
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (r *processResult) print() {
	const mib = 1 << 20
	fmt.Printf("\nmemory, MiB, at %.0f spans/s and %d series\n", r.SpansPerSecond, r.Series)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tRSS\tof it anonymous\tBPF maps\t")
	for _, row := range []struct {
		name string
		memory
	}{{"without the receiver", r.Without}, {"with it", r.With}} {
		fmt.Fprintf(table, "%s\t%.1f\t%.1f\t%.1f\t\n", row.name, float64(row.RSS)/mib, float64(row.Anon)/mib, float64(row.Maps)/mib)
	}
	_ = table.Flush()
	fmt.Printf("start %.0f ms (max %.0f), first span after %.0f ms (max %.0f); shutdown with %.0f spans in the ring %.0f ms (max %.0f)\n",
		r.Start.Median, r.Start.Max, r.FirstSpan.Median, r.FirstSpan.Max, r.Pending.Median, r.Shutdown.Median, r.Shutdown.Max)
	fmt.Printf("idle: %.3f %% of a core over %v\n", r.IdleCPU, idleFor)
}
