// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
)

const (
	fewSeries  = 10
	manySeries = 10_000
	// manyServices is how many services have so many: a service has at most as many series
	// as there are attempts.
	manyServices = 5
)

// inTurn is the result that has a budget.
const inTurn = "all series in turn"

// growthResult is the effect of the number of series on the cost of a call.
type growthResult struct {
	Few  callCost `json:"few"`
	Many callCost `json:"many"`
	// Ratio of the added times: calls that take turns in all the series, and
	// one call again and again while they exist.
	Ratio float64 `json:"ratio"`
}

// measureGrowth compares calls in few series and in many. Each call is in another series
// than the one before. This is the worst case for the table and the caches of the CPU:
// programs usually read the same few options.
func measureGrowth(ctx context.Context, s settings, c cpus, r *report) error {
	t := newTurns(s, c)
	t.services = manyServices
	few, many := order{name: loadSpread, series: fewSeries}, order{name: loadSpread, series: manySeries}
	one := order{name: loadType}
	onlyFew := probeMode("few series", probe.Options{Hook: s.hooks[0], SeriesLimit: 2 * manySeries})
	onlyMany := probeMode("many series", probe.Options{Hook: s.hooks[0], SeriesLimit: 2 * manySeries})
	onlyMany.series = manySeries
	nothing := mode{name: noProbe, batch: batchCalls, start: startNothing}
	for range s.rounds {
		for _, turn := range []struct {
			mode
			loads []order
		}{
			{nothing, []order{few, many, one}},
			{onlyFew, []order{few, one}},
			{onlyMany, []order{many, one}}, // one, while the many exist
		} {
			if err := t.turn(ctx, turn.mode, turn.loads); err != nil {
				return fmt.Errorf("%s: %w", turn.name, err)
			}
		}
	}
	r.Growth = map[string]growthResult{
		inTurn:                           growthOf(t.cost(onlyFew, few.label()), t.cost(onlyMany, many.label())),
		"one series, while others exist": growthOf(t.cost(onlyFew, loadType), t.cost(onlyMany, loadType)),
	}
	r.TurnsRepeated += t.again
	fmt.Printf("\nadded ns a call, by the number of series\n")
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "calls in\t%d\tq1\tq3\t%d\tq1\tq3\tratio\t\n", fewSeries, manySeries)
	for name, g := range r.Growth {
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t\n", name,
			g.Few.Added.Median, g.Few.Added.Q1, g.Few.Added.Q3, g.Many.Added.Median, g.Many.Added.Q1, g.Many.Added.Q3, g.Ratio)
	}
	return table.Flush()
}

func growthOf(few, many callCost) growthResult {
	return growthResult{Few: few, Many: many, Ratio: many.Added.Median / few.Added.Median}
}

// measureIOUring measures the cost that the programs for io_uring's getsockopt add to
// requests of other types.
func measureIOUring(ctx context.Context, s settings, c cpus, r *report) error {
	t := newTurns(s, c)
	with := probeMode("with the probe", probe.Options{Hook: s.hooks[0]})
	empty := mode{name: "empty pair", batch: batchCalls, start: emptyPairs[hookIOUring].startUntested}
	modes := []mode{{name: noProbe, batch: batchCalls, start: startNothing}, empty, with}
	if err := t.rounds(ctx, modes, []order{{name: loadNop}}); err != nil {
		return err
	}
	cost, pair := t.cost(with, loadNop), t.cost(empty, loadNop)
	r.IOUring = []callCost{pair, cost}
	r.TurnsRepeated += t.again
	fmt.Printf("\nan io_uring NOP: %.0f ns without a probe, %.0f ns added by an empty pair (q1 %.0f, q3 %.0f), %.0f ns by the probe (q1 %.0f, q3 %.0f)\n",
		summarize(t.ns[noProbe][loadNop]).Median, pair.Added.Median, pair.Added.Q1, pair.Added.Q3, cost.Added.Median, cost.Added.Q1, cost.Added.Q3)
	return nil
}

// uncheckedPair is an empty pair that getsockopt calls do not pass.
type uncheckedPair struct{ *attachedPair }

func (p pair) startUntested(ctx context.Context, w *worker) (watcher, error) {
	started, err := p.start(ctx, w)
	if err != nil {
		return nil, err
	}
	return uncheckedPair{started.(*attachedPair)}, nil
}

func (uncheckedPair) settle(*worker) error { return nil }
