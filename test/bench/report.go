// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
)

// report is what the benchmark writes.
type report struct {
	Host          host                    `json:"host"`
	Hooks         []string                `json:"hooks"` // that work here, the best first
	Calls         []callCost              `json:"calls,omitempty"`
	Sightings     []sighting              `json:"sightings,omitempty"`
	Growth        map[string]growthResult `json:"growth,omitempty"`
	IOUring       []callCost              `json:"io_uring_nop,omitempty"`
	Spans         map[string]spansResult  `json:"spans,omitempty"`
	Record        *recordResult           `json:"record_to_span,omitempty"`
	Contention    *contentionResult       `json:"contention,omitempty"`
	Collection    []collectionResult      `json:"collection,omitempty"`
	Process       *processResult          `json:"process,omitempty"`
	Operator      *operatorResult         `json:"operator,omitempty"`
	Budgets       []verdict               `json:"budgets"`
	TurnsRepeated int                     `json:"turns_repeated"`
}

func (r *report) write(path string) error {
	if path == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}

func (r *report) printCalls(to io.Writer) {
	for _, load := range callLoads {
		fmt.Fprintf(to, "\n%s, ns a call\n", load.label())
		table := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "mode\tmedian\tmin\tq1\tq3\tadded: median\tq1 of added\tq3 of added\tto limit\tto empty pair\tto bpftrace histogram\tto bpftrace line\tto strace\t")
		for _, c := range r.Calls {
			if c.Load != load.label() {
				continue
			}
			fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%s\t%s\t%s\t%s\t%s\t\n", c.Mode,
				c.NS.Median, c.NS.Min, c.NS.Q1, c.NS.Q3, c.Added.Median, c.Added.Q1, c.Added.Q3,
				times(c.ToLimit), times(c.ToEmpty), times(c.ToHistogram), times(c.ToPrintf), times(c.ToStrace))
		}
		_ = table.Flush()
	}
	fmt.Fprintln(to)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "mode\tcalls made\tseen\tlost\tspans\t")
	for _, s := range r.Sightings {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t\n", s.Mode, s.Made, s.Seen, s.Lost, count(s.Spans))
	}
	_ = table.Flush()
	if r.TurnsRepeated > 0 {
		fmt.Fprintf(to, "%d turns were repeated because something else traced the host meanwhile\n", r.TurnsRepeated)
	}
}

func count(n uint64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatUint(n, 10)
}

func times(ratio float64) string {
	if ratio == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", ratio)
}
