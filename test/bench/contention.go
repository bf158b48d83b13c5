// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
)

// contentionResult is what callers on several CPUs cost each other.
type contentionResult struct {
	Measured []contentionCost     `json:"measured"`
	Model    []contentionForecast `json:"model"` // from published costs of atomic adds, not measured here
}

// contentionCost is the time of a call while so many callers make calls, each on its CPU.
type contentionCost struct {
	Callers int     `json:"callers"`
	NoProbe summary `json:"no_probe_ns"`
	// All count in one series, or each in its own.
	One summary `json:"one_series_ns"`
	Own summary `json:"own_series_ns"`
	// Ratio is One by Own: what the callers cost each other. CPUs that share a core slow each
	// other down in both.
	Ratio float64 `json:"ratio"`
}

// contentionForecast is the time of a call by the model, with the cost alone that was
// measured here.
type contentionForecast struct {
	Machine string          `json:"atomic_adds_of"`
	NS      map[int]float64 `json:"ns_by_callers"`
}

// forecastCallers are numbers of callers that the model is asked for.
var forecastCallers = []int{2, 4, 8, 16, 32, 64, 128}

// measureContention lets callers on all CPUs count in one series, and each in its own. They
// are processes of one thread, so that they share nothing in the kernel but the receiver's
// memory. Of one service, they are in one series.
func measureContention(ctx context.Context, s settings, c cpus, r *report) error {
	callers := callerNumbers(len(c.all()))
	ns := map[string]map[int][]float64{}
	modes := []crowdMode{
		{name: noProbe, start: startNothing},
		{name: "one series", start: probeMode("", probe.Options{Hook: s.hooks[0]}).start},
		{name: "own series", start: probeMode("", probe.Options{Hook: s.hooks[0]}).start, own: true},
	}
	for _, m := range modes {
		ns[m.name] = map[int][]float64{}
	}
	for range s.rounds {
		for _, m := range modes {
			for _, n := range callers {
				if err := s.residents.wait(ctx); err != nil {
					return err
				}
				sample, err := m.measure(ctx, c.all()[:n], s.batches)
				if err != nil {
					return fmt.Errorf("%s, %d callers: %w", m.name, n, err)
				}
				ns[m.name][n] = append(ns[m.name][n], sample)
			}
		}
	}
	result := &contentionResult{}
	for _, n := range callers {
		cost := contentionCost{
			Callers: n, NoProbe: summarize(ns[noProbe][n]),
			One: summarize(ns["one series"][n]), Own: summarize(ns["own series"][n]),
		}
		cost.Ratio = cost.One.Median / cost.Own.Median
		result.Measured = append(result.Measured, cost)
	}
	alone := result.Measured[0].One.Median
	for i := range published {
		f := contentionForecast{Machine: published[i].name, NS: map[int]float64{1: alone}}
		for _, n := range forecastCallers {
			f.NS[n] = contendedCall(&published[i], alone, callLines, contenders(n))
		}
		result.Model = append(result.Model, f)
	}
	r.Contention = result
	result.print(os.Stdout)
	return nil
}

// callerNumbers are the powers of two below a number of CPUs, and the number.
func callerNumbers(cpus int) (numbers []int) {
	for n := 1; n < cpus; n *= 2 {
		numbers = append(numbers, n)
	}
	return append(numbers, cpus)
}

// crowdMode is what looks on while several callers make calls.
type crowdMode struct {
	name  string
	start func(context.Context, *worker) (watcher, error)
	own   bool // each caller has a series
}

// measure returns the time of a call, the mean of the callers' medians.
func (m *crowdMode) measure(ctx context.Context, on []int, batches int) (mean float64, err error) {
	var crowd []*worker
	defer func() {
		for _, w := range crowd {
			err = errors.Join(err, w.stop())
		}
	}()
	for i, cpu := range on {
		service := "load"
		if m.own {
			service = fmt.Sprintf("load-%d", i)
		}
		w, err := startWorker(ctx, cpu, service)
		if err != nil {
			return 0, err
		}
		crowd = append(crowd, w)
	}
	watching, err := m.start(ctx, crowd[0])
	if err != nil {
		return 0, err
	}
	mean, err = together(crowd, batches)
	saw, stopped := watching.stop()
	var made uint64
	for _, w := range crowd {
		made += w.calls
	}
	if err == nil && m.name != noProbe && saw.calls < made {
		err = fmt.Errorf("saw %d of %d calls", saw.calls, made)
	}
	return mean, errors.Join(err, stopped)
}

// together lets callers make calls at the same time. The batches in the middle count, when
// all of them are at it: the median is one of those.
func together(crowd []*worker, batches int) (mean float64, err error) {
	const warmUp = 50 // also wakes the CPUs
	type answer struct {
		ns  float64
		err error
	}
	answers := make(chan answer)
	for _, w := range crowd {
		go func() {
			ns, err := w.do(order{name: loadType, batches: warmUp + 10*batches, calls: batchCalls})
			answers <- answer{ns, err}
		}()
	}
	for range crowd {
		a := <-answers
		mean += a.ns / float64(len(crowd))
		err = errors.Join(err, a.err)
	}
	return mean, err
}

func (r *contentionResult) print(to io.Writer) {
	fmt.Fprintf(to, "\nns a call, with callers on several CPUs, metrics only\n")
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "callers\tno probe\tone series\tq1\tq3\ta series each\tq1\tq3\tone to each\t")
	for _, c := range r.Measured {
		fmt.Fprintf(table, "%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t\n", c.Callers, c.NoProbe.Median,
			c.One.Median, c.One.Q1, c.One.Q3, c.Own.Median, c.Own.Q1, c.Own.Q3, c.Ratio)
	}
	_ = table.Flush()
	fmt.Fprintf(to, "\na model: ns a call of one series, from the cost of a call alone and published costs of contended atomic adds\n")
	table = tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "adds as on\t")
	for _, n := range forecastCallers {
		fmt.Fprintf(table, "%d callers\tto alone\t", n)
	}
	fmt.Fprintln(table)
	for _, f := range r.Model {
		fmt.Fprintf(table, "%s\t", f.Machine)
		for _, n := range forecastCallers {
			fmt.Fprintf(table, "%.0f\t%.2f\t", f.NS[n], f.NS[n]/f.NS[1])
		}
		fmt.Fprintln(table)
	}
	_ = table.Flush()
}
