// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

func expectedResults(expected map[string]expectation) []report.Result {
	var results []report.Result
	for name, want := range expected {
		results = append(results, report.Result{Case: name, Outcome: want.outcome})
	}
	return results
}

func TestEveryExceptionNamesWhatThereIs(t *testing.T) {
	var known []string
	for _, all := range entryPoints {
		for _, d := range all {
			known = append(known, d.Name)
		}
	}
	for _, e := range exceptions {
		if e.entryPoint != "" && !slices.Contains(known, e.entryPoint) || e.hook != "" && !slices.Contains(hooks, e.hook) {
			t.Errorf("%+v is about nothing", e)
		}
		if e.because == "" || e.outcome == report.Works || e.outcome == report.Failed {
			t.Errorf("%+v justifies nothing", e)
		}
		if e.before != "" && !strings.Contains(e.because, "Linux "+e.before) {
			t.Errorf("%+v does not give its version as the reason", e)
		}
	}
}

// A test that has another name by now would run everywhere, and this list be wrong.
func TestSameEverywhereNamesTests(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "internal/probe/*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var sources []byte
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, b...)
	}
	for _, name := range sameEverywhere {
		if !bytes.Contains(sources, []byte("\nfunc "+name+"(t *testing.T) {\n")) {
			t.Errorf("internal/probe has no test %s", name)
		}
	}
	if !slices.ContainsFunc(kernels, func(k kernel) bool { return k.everything }) {
		t.Error("no kernel runs everything")
	}
}

// A guest that runs everything, and has left out a test, is wrong.
func TestJudgeEverything(t *testing.T) {
	k := kernel{version: "6.1", arch: "arm64", auto: probe.HookKprobe, everything: true}
	expected := expectations(k, planFor(k.arch, "", options{}))
	results := slices.DeleteFunc(expectedResults(expected), func(r report.Result) bool { return r.Case == report.Test(sameEverywhere[0]) })
	if v, want := judge(expected, results), report.Test(sameEverywhere[0])+": did not run"; len(v.wrong) != 1 || v.wrong[0] != want {
		t.Errorf("wrong: %q, want %q", v.wrong, want)
	}
}

func TestJudge(t *testing.T) {
	k := kernel{version: "6.1", arch: "arm64", auto: probe.HookKprobe}
	expected := expectations(k, planFor(k.arch, "", options{}))
	if v := judge(expected, expectedResults(expected)); len(v.wrong) != 0 || v.works == 0 || len(v.skipped) == 0 {
		t.Fatalf("what is expected comes to %+v", v)
	}
	for _, test := range []struct {
		name   string
		change func([]report.Result) []report.Result
		want   string
	}{
		{"missing", func(r []report.Result) []report.Result {
			return slices.DeleteFunc(r, func(r report.Result) bool { return r.Case == report.Done })
		}, "done: did not run"},
		{"failure", func(r []report.Result) []report.Result {
			r[slices.IndexFunc(r, func(r report.Result) bool { return r.Case == "probe kprobe syscall" })].Outcome = report.Failed
			return r
		}, "probe kprobe syscall: failed, want works"},
		{"unexpected success", func(r []report.Result) []report.Result {
			r[slices.IndexFunc(r, func(r report.Result) bool { return r.Case == "probe fentry" })].Outcome = report.Works
			return r
		}, "probe fentry: works, want refused"},
		{"refused hook", func(r []report.Result) []report.Result {
			r = slices.DeleteFunc(r, func(r report.Result) bool { return strings.HasPrefix(r.Case, "probe tracepoint ") })
			r[slices.IndexFunc(r, func(r report.Result) bool { return r.Case == "probe tracepoint" })].Outcome = report.Refused
			return r
		}, "probe tracepoint: refused, want works"},
		{"another hook", func(r []report.Result) []report.Result {
			r[slices.IndexFunc(r, func(r report.Result) bool { return r.Case == "probe auto" })].Outcome = probe.HookTracepoint
			return r
		}, "probe auto: tracepoint, want kprobe"},
		{"skipped test", func(r []report.Result) []report.Result {
			return append(r, report.Result{Case: report.Test("TestX"), Outcome: report.Failed, Detail: "skipped"})
		}, "test TestX: failed, want works"},
		{"not in the table", func(r []report.Result) []report.Result {
			return append(r, report.Result{Case: report.Probe("kprobe", "window"), Outcome: report.Works})
		}, "probe kprobe window: is not in the table"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := judge(expected, test.change(expectedResults(expected)))
			if len(v.wrong) != 1 || !strings.HasPrefix(v.wrong[0], test.want) {
				t.Errorf("wrong: %q, want %q", v.wrong, test.want)
			}
		})
	}
}

func TestNewestPackageFirst(t *testing.T) {
	names := []string{"linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-56-cloud-amd64", "linux-image-6.1.0-10-cloud-amd64"}
	newest := slices.MaxFunc(names, func(a, b string) int { return slices.Compare(numbersIn(a), numbersIn(b)) })
	if newest != names[1] {
		t.Errorf("newest is %s, want %s", newest, names[1])
	}
}
