// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// processResult is how long the receiver takes to start and to stop.
type processResult struct {
	FirstSpan summary `json:"first_span_ms"` // from the start of the receiver
	Start     summary `json:"start_ms"`
	Shutdown  summary `json:"shutdown_ms"` // with a full ring
	Pending   summary `json:"spans_at_shutdown"`
}

// lifeRounds is how often a receiver starts and stops.
const lifeRounds = 5

// measureProcess times the starts and stops of a receiver.
func measureProcess(ctx context.Context, _ settings, c cpus, r *report) (err error) {
	w, err := startWorker(ctx, c.load, "load")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	var result processResult
	if err := result.lives(ctx, w); err != nil {
		return err
	}
	r.Process = &result
	result.print()
	return nil
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
		s, err := p.ask(askStart)
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
	fmt.Printf("\nthe receiver alone: start %.0f ms (max %.0f), first span after %.0f ms (max %.0f); shutdown with %.0f spans in the ring %.0f ms (max %.0f)\n",
		r.Start.Median, r.Start.Max, r.FirstSpan.Median, r.FirstSpan.Max, r.Pending.Median, r.Shutdown.Median, r.Shutdown.Max)
}
