// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

// expectation is what must come of a case, and why it is not "works".
type expectation struct {
	outcome report.Outcome
	because string
}

// expectations lists the cases of a guest that carries out a plan, but for the
// programs' costs.
func expectations(k kernel, plan report.Plan) map[string]expectation {
	all := map[string]expectation{
		report.Boot: {outcome: report.Works},
		report.Done: {outcome: report.Works},
	}
	for _, t := range plan.Tests {
		all[report.Test(t.Binary)] = expectation{outcome: report.Works}
		if t.SameEverywhere != "" && k.everything {
			for _, name := range sameEverywhere {
				all[report.Test(name)] = expectation{outcome: report.Works}
			}
		}
	}
	add := func(hooks []string, name func(hook, entryPoint string) string) {
		for _, hook := range hooks {
			itself := expect(k, hook, "")
			all[name(hook, "")] = itself
			if itself.outcome != report.Works {
				continue
			}
			for _, d := range plan.EntryPoints {
				all[name(hook, d.Name)] = expect(k, hook, d.Name)
			}
		}
	}
	add(plan.Hooks, report.Probe)
	add(plan.CollectorHooks, report.Collector)
	if slices.Contains(plan.Hooks, probe.HookAuto) {
		all[report.Probe(probe.HookAuto, "")] = expectation{outcome: report.Outcome(k.auto)}
	}
	return all
}

func expect(k kernel, hook, entryPoint string) expectation {
	for _, e := range exceptions {
		if (e.arch == "" || e.arch == k.arch) && (e.before == "" || compareVersions(k.version, e.before) < 0) &&
			(e.hook == "" || e.hook == hook) && e.entryPoint == entryPoint {
			return expectation{outcome: e.outcome, because: e.because}
		}
	}
	return expectation{outcome: report.Works}
}

func compareVersions(a, b string) int {
	numbers := func(v string) []int {
		var all []int
		for part := range strings.SplitSeq(v, ".") {
			n, err := strconv.Atoi(part)
			if err != nil {
				panic(fmt.Sprintf("kernel version %q: %v", v, err)) // of the table
			}
			all = append(all, n)
		}
		return all
	}
	return slices.Compare(numbers(a), numbers(b))
}

// verdict is what a guest's results come to.
type verdict struct {
	works   int
	skipped map[string]int // by reason
	wrong   []string
	// distance is how near the programs came to the verifier's limits.
	distance string
}

func (v *verdict) fail(format string, arguments ...any) {
	v.wrong = append(v.wrong, fmt.Sprintf(format, arguments...))
}

// judge compares a guest's results with the table: each case must be there and
// come out as expected. Tests of Go that the table does not name must work.
func judge(expected map[string]expectation, results []report.Result) verdict {
	v := verdict{skipped: make(map[string]int)}
	seen := make(map[string]bool)
	var refused []string
	for _, r := range results {
		if _, _, found := report.Verified(r.Case); found {
			continue // judgeCosts
		}
		want, known := expected[r.Case]
		if !known {
			want = expectation{outcome: report.Works}
			if !strings.HasPrefix(r.Case, report.Test("")) {
				v.wrong = append(v.wrong, fmt.Sprintf("%s: is not in the table", r.Case))
				continue
			}
		}
		seen[r.Case] = true
		switch {
		case r.Outcome != want.outcome:
			v.wrong = append(v.wrong, fmt.Sprintf("%s: %s, want %s: %s", r.Case, r.Outcome, want.outcome, lastOf(r.Detail)))
			if r.Outcome == report.Refused {
				refused = append(refused, r.Case+" ")
			}
		case want.because != "":
			v.skipped[want.because]++
		default:
			v.works++
		}
	}
	for name := range expected {
		// The entry points of a hook that did not start have no results.
		behind := func(hook string) bool { return strings.HasPrefix(name, hook) }
		if !seen[name] && !slices.ContainsFunc(refused, behind) {
			v.wrong = append(v.wrong, name+": did not run")
		}
	}
	slices.Sort(v.wrong)
	return v
}

// lastOf is the end of a reason, where a verifier writes its reason: the
// console holds all of it.
func lastOf(detail string) string {
	const longest = 1000
	if cut := len(detail) - longest; cut > 0 {
		detail = "..." + strings.ToValidUTF8(detail[cut:], "")
	}
	return cmp.Or(detail, "no reason given")
}
