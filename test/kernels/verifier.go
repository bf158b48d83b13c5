// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

const (
	// verifierFile is the table of what the programs cost the verifiers.
	verifierFile = "test/kernels/verifier.txt"
	// verifierDocument has a summary of it, between two marks.
	verifierDocument = "docs/kernels.md"
	verifierBegin    = "<!-- verifier: go run ./test/kernels -update -->\n"
	verifierEnd      = "<!-- end of verifier -->\n"
)

// verified is a program loaded on a kernel with a configuration.
type verified struct{ kernel, configuration, program string }

func (v verified) compare(other verified) int {
	return cmp.Or(
		// In the order of the matrix.
		cmp.Compare(kernelIndex(v.kernel), kernelIndex(other.kernel)),
		cmp.Compare(v.configuration, other.configuration),
		cmp.Compare(v.program, other.program),
	)
}

func kernelIndex(name string) int {
	return slices.IndexFunc(kernels, func(k kernel) bool { return k.String() == name })
}

// verifierCosts is a table of costs.
type verifierCosts map[verified]report.Cost

// measuredCosts collects the costs that a guest reported, and why its kernel
// rejected programs.
func measuredCosts(k kernel, results []report.Result) (costs verifierCosts, rejected map[verified]string) {
	costs, rejected = make(verifierCosts), make(map[verified]string)
	for _, r := range results {
		configuration, program, found := report.Verified(r.Case)
		if !found {
			continue
		}
		at := verified{k.String(), configuration, program}
		if r.Cost != nil {
			costs[at] = *r.Cost
		} else {
			rejected[at] = r.Detail
		}
	}
	return costs, rejected
}

// judgeCosts compares what a guest measured with the table.
func judgeCosts(v *verdict, k kernel, table verifierCosts, results []report.Result) {
	costs, rejected := measuredCosts(k, results)
	v.distance = costs.distance()
	if len(costs)+len(rejected) == 0 {
		v.fail("no program's cost was reported")
		return
	}
	for at, is := range costs {
		was, known := table[at]
		switch {
		case is.Stack > report.StackMax:
			v.fail("%s: %d bytes of stack, want at most %d: the verifier rejects more than %d", at, is.Stack, report.StackMax, report.StackLimit)
		case !known:
			v.fail("%s: is not in %s, see -update", at, verifierFile)
		case 5*is.Instructions > 6*was.Instructions:
			v.fail("%s: the verifier processes %d instructions, over a fifth more than the %d of %s: make it cheaper, or see -update", at, is.Instructions, was.Instructions, verifierFile)
		default:
			v.works++
		}
	}
	// Every kernel accepts every program that may be loaded on it.
	for at, reason := range rejected {
		v.fail("%s: rejected: %s", at, lastOf(reason))
	}
	for at := range table.of(k.String()) {
		if _, loaded := costs[at]; !loaded && rejected[at] == "" {
			v.fail("%s: is in %s, but was not loaded", at, verifierFile)
		}
	}
	slices.Sort(v.wrong)
}

func (v verified) String() string { return report.Verifier(v.configuration, v.program) }

// worst are the program that costs the most instructions, and the one that takes
// the most stack.
func (c verifierCosts) worst() (instructions, stack verified) {
	for _, at := range slices.SortedFunc(maps.Keys(c), verified.compare) {
		if c[at].Instructions > c[instructions].Instructions {
			instructions = at
		}
		if c[at].Stack > c[stack].Stack {
			stack = at
		}
	}
	return instructions, stack
}

// distance is how near the programs come to the verifier's limits.
func (c verifierCosts) distance() string {
	most, deepest := c.worst()
	return fmt.Sprintf("at most %d of %d instructions (%s, %s), %d of %d bytes of stack (%s, %s)",
		c[most].Instructions, report.InstructionLimit, most.configuration, most.program,
		c[deepest].Stack, report.StackLimit, deepest.configuration, deepest.program)
}

// of returns the part of one kernel.
func (c verifierCosts) of(kernel string) verifierCosts {
	part := maps.Clone(c)
	maps.DeleteFunc(part, func(at verified, _ report.Cost) bool { return at.kernel != kernel })
	return part
}

// replace puts what was measured on a kernel into its place.
func (c verifierCosts) replace(k kernel, results []report.Result) {
	maps.DeleteFunc(c, func(at verified, _ report.Cost) bool { return at.kernel == k.String() })
	costs, _ := measuredCosts(k, results)
	maps.Copy(c, costs)
}

const verifierHead = "# What each program costs the verifier: instructions of 1000000, bytes of stack of 512.\n" +
	"# Written by go run ./test/kernels -update; docs/kernels.md.\n"

func (c verifierCosts) text() []byte {
	var b bytes.Buffer
	b.WriteString(verifierHead)
	w := tabwriter.NewWriter(&b, 0, 1, 2, ' ', 0)
	for _, at := range slices.SortedFunc(maps.Keys(c), verified.compare) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\n", at.kernel, at.configuration, at.program, c[at].Instructions, c[at].Stack)
	}
	w.Flush()
	return b.Bytes()
}

// summary is the worst of each kernel, for the document.
func (c verifierCosts) summary() string {
	var b strings.Builder
	b.WriteString("| kernel | instructions | of the limit | program | stack | program |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- |\n")
	for _, k := range kernels {
		costs := c.of(k.String())
		if len(costs) == 0 {
			continue
		}
		most, deepest := costs.worst()
		fmt.Fprintf(&b, "| %s %s | %d | %.1f %% | `%s`, %s | %d | `%s`, %s |\n", k.version, k.arch,
			costs[most].Instructions, 100*float64(costs[most].Instructions)/report.InstructionLimit, most.program, most.configuration,
			costs[deepest].Stack, deepest.program, deepest.configuration)
	}
	return b.String()
}

func readVerifierCosts(file string) (verifierCosts, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the table of the verifier's costs: %w", err)
	}
	costs := make(verifierCosts)
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var at verified
		var cost report.Cost
		if _, err := fmt.Sscan(line, &at.kernel, &at.configuration, &at.program, &cost.Instructions, &cost.Stack); err != nil {
			return nil, fmt.Errorf("read %s: %q: %w", file, line, err)
		}
		if kernelIndex(at.kernel) < 0 {
			return nil, fmt.Errorf("read %s: there is no kernel %q in the matrix", file, at.kernel)
		}
		costs[at] = cost
	}
	return costs, nil
}

// write replaces the table, and its summary in the document.
func (c verifierCosts) write() error {
	if err := os.WriteFile(verifierFile, c.text(), 0o644); err != nil {
		return fmt.Errorf("write the table of the verifier's costs: %w", err)
	}
	document, err := os.ReadFile(verifierDocument)
	if err != nil {
		return fmt.Errorf("read the document with the verifier's costs: %w", err)
	}
	before, rest, found := strings.Cut(string(document), verifierBegin)
	_, after, ends := strings.Cut(rest, verifierEnd)
	if !found || !ends {
		return fmt.Errorf("%s has no place between %q and %q", verifierDocument, verifierBegin, verifierEnd)
	}
	document = []byte(before + verifierBegin + c.summary() + verifierEnd + after)
	if err := os.WriteFile(verifierDocument, document, 0o644); err != nil {
		return fmt.Errorf("write the document with the verifier's costs: %w", err)
	}
	return nil
}
