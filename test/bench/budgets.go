// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// budget is a bar, and how to find in a report what it holds for.
type budget struct {
	what      string
	bar       float64
	slowClock float64 // the bar with a clock source other than tsc; 0: the same
	least     bool    // the bar is the least, not the most
	measured  func(*report) (float64, bool)
}

// budgets are those of docs/performance.md.
var budgets = []budget{
	{what: "metrics only, SO_TYPE, to the limit (aim: 1.25)", bar: 1.4, measured: ratio(metricsOnly, loadType, toLimit)},
	{what: "metrics only, SO_ERROR, to the limit", bar: 1.7, measured: ratio(metricsOnly, loadError, toLimit)},
	{what: "1 % spans, SO_TYPE, to the limit", bar: 1.7, measured: ratio(someSpans, loadType, toLimit)},
	{what: "all spans, SO_TYPE, to the limit", bar: 3, measured: ratio(allSpans, loadType, toLimit)},
	{what: "metrics only, SO_TYPE, to bpftrace's histogram", bar: 0.5, measured: ratio(metricsOnly, loadType, toHistogram)},
	{what: "1 % spans, SO_TYPE, to bpftrace's histogram", bar: 0.6, measured: ratio(someSpans, loadType, toHistogram)},
	{what: "all spans, SO_TYPE, to bpftrace's line", bar: 0.1, measured: ratio(allSpans, loadType, toPrintf)},
	{what: "all spans, SO_TYPE, to strace", bar: 0.02, measured: ratio(allSpans, loadType, toStrace)},
	{what: "unrelated system calls, ns more than the empty pair", bar: 5, measured: unrelatedCalls},
	{what: "10,000 series, calls in turn, to 10", bar: 1.25, measured: growth},
	{what: "user space, spans/s a core", bar: 600_000, slowClock: 300_000, least: true, measured: aSpan(spansPerCore)},
	{what: "user space, KiB a span", bar: 1.4, measured: aSpan(spanKiB)},
	{what: "user space, allocations a span", bar: 20, measured: aSpan(spanAllocations)},
	{what: "the Collector at 100,000 calls/s and 100 spans/s, % of a core", bar: 2, measured: above(underLoad)},
	{what: "the same, MiB", bar: 32, measured: above(residentMiB)},
	{what: "the same, MiB of BPF maps", bar: 16, measured: above(mapsMiB)},
	{what: "the Collector idle, % of a core", bar: 0.05, measured: above(idle)},
	{what: "start of the Collector to first span, ms", bar: 500, slowClock: 800, measured: firstSpan},
	{what: "shutdown with a full ring buffer, ms", bar: 1000, measured: shutdown},
	{what: "64 callers of one series, to one, by the model", bar: 2, measured: manyCallers},
	{what: "make test, minutes, warm on two quiet cores", bar: 20, measured: elsewhere},
}

// verdict is what became of a budget.
type verdict struct {
	What     string   `json:"what"`
	Bar      float64  `json:"bar"`
	Least    bool     `json:"bar_is_the_least,omitempty"`
	Measured *float64 `json:"measured,omitempty"`
	Verdict  string   `json:"verdict"`
}

const (
	met         = "met"
	notMet      = "NOT MET"
	notMeasured = "not measured"
)

func (b *budget) judge(r *report) verdict {
	v := verdict{What: b.what, Bar: b.bar, Least: b.least, Verdict: notMeasured}
	if b.slowClock != 0 && r.Host.Clock != "tsc" {
		v.Bar = b.slowClock
	}
	measured, found := b.measured(r)
	if !found {
		return v
	}
	v.Measured, v.Verdict = &measured, notMet
	if measured == v.Bar || (measured > v.Bar) == b.least {
		v.Verdict = met
	}
	return v
}

// judge compares the report with the budgets. It is no error to miss one: times differ from
// host to host, and from one hour to the next.
func (r *report) judge() {
	for i := range budgets {
		r.Budgets = append(r.Budgets, budgets[i].judge(r))
	}
}

func (r *report) printBudgets(to io.Writer) {
	fmt.Fprintf(to, "\nbudgets, with the clock %s\n", r.Host.Clock)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, v := range r.Budgets {
		bar, measured := "at most", "-"
		if v.Least {
			bar = "at least"
		}
		if v.Measured != nil {
			measured = short(*v.Measured)
		}
		fmt.Fprintf(table, "%s\t%s %s\t%s\t%s\n", v.What, bar, short(v.Bar), measured, v.Verdict)
	}
	_ = table.Flush()
}

// short has three significant digits, or whole numbers.
func short(x float64) string {
	if x >= 1000 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}

// ratio is that of a mode behind the best hook.
func ratio(mode, load string, of func(*callCost) float64) func(*report) (float64, bool) {
	return func(r *report) (float64, bool) {
		for i := range r.Calls {
			if c := &r.Calls[i]; c.Mode == mode+r.bestHook() && c.Load == load {
				return of(c), of(c) != 0
			}
		}
		return 0, false
	}
}

func toLimit(c *callCost) float64     { return c.ToLimit }
func toHistogram(c *callCost) float64 { return c.ToHistogram }
func toPrintf(c *callCost) float64    { return c.ToPrintf }
func toStrace(c *callCost) float64    { return c.ToStrace }

func (r *report) bestHook() string {
	if len(r.Hooks) == 0 {
		return ""
	}
	return r.Hooks[0]
}

// unrelatedCalls is the most that a mode of the receiver adds, behind any hook.
func unrelatedCalls(r *report) (most float64, found bool) {
	pairs := map[string]float64{}
	for _, c := range r.Calls {
		if c.Load == loadPPID && strings.HasPrefix(c.Mode, emptyPair) {
			pairs[c.Hook] = c.Added.Median
		}
	}
	for _, c := range r.Calls {
		pair, compared := pairs[c.Hook]
		if !compared || c.Load != loadPPID || strings.HasPrefix(c.Mode, emptyPair) || strings.HasPrefix(c.Mode, clockPair) {
			continue
		}
		if more := c.Added.Median - pair; !found || more > most {
			most, found = more, true
		}
	}
	return most, found
}

func growth(r *report) (float64, bool) {
	g, found := r.Growth[inTurn]
	return g.Ratio, found
}

func aSpan(of func(*spansResult) float64) func(*report) (float64, bool) {
	return func(r *report) (float64, bool) {
		s, found := r.Spans[defaultGates]
		return of(&s), found
	}
}

func spansPerCore(s *spansResult) float64    { return s.PerSecond }
func spanKiB(s *spansResult) float64         { return s.AllocBytes.Median / 1024 }
func spanAllocations(s *spansResult) float64 { return s.Allocs.Median }

// above is how much more it is at 100 spans a second than without the receiver.
func above(of func(*operatorCost) float64) func(*report) (float64, bool) {
	return func(r *report) (more float64, found bool) {
		if r.Operator == nil {
			return 0, false
		}
		for i := range r.Operator.Modes {
			switch m := &r.Operator.Modes[i]; m.Name {
			case operatorWithout:
				more -= of(m)
			case operatorFew:
				more += of(m)
			}
		}
		return more, true
	}
}

func underLoad(c *operatorCost) float64   { return c.CPU.Median }
func idle(c *operatorCost) float64        { return c.IdleCPU.Median }
func residentMiB(c *operatorCost) float64 { return c.RSS.Median / (1 << 20) }
func mapsMiB(c *operatorCost) float64     { return c.Maps.Median / (1 << 20) }

func firstSpan(r *report) (float64, bool) {
	if r.Operator == nil {
		return 0, false
	}
	return r.Operator.FirstSpan.Median, true
}

func shutdown(r *report) (float64, bool) {
	if r.Process == nil {
		return 0, false
	}
	return r.Process.Shutdown.Median, true
}

// manyCallers is that of the published machine on which it is worst.
func manyCallers(r *report) (worst float64, found bool) {
	if r.Contention == nil {
		return 0, false
	}
	for _, f := range r.Contention.Model {
		worst = max(worst, f.NS[64]/f.NS[1])
	}
	return worst, true
}

// elsewhere is what another program measures.
func elsewhere(*report) (float64, bool) { return 0, false }
