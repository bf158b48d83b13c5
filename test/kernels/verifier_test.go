// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

// root is the repository's, as seen from this folder.
const root = "../.."

func cost(configuration, program string, instructions, stack int) report.Result {
	return report.Result{
		Case: report.Verifier(configuration, program), Outcome: report.Works,
		Cost: &report.Cost{Instructions: instructions, Stack: stack},
	}
}

func TestJudgeCosts(t *testing.T) {
	k := kernels[0]
	rejected := report.Result{Case: report.Verifier("default", "a"), Outcome: report.Refused, Detail: "too large"}
	for _, test := range []struct {
		name    string
		table   verifierCosts
		results []report.Result
		want    string // how what is wrong begins; empty for nothing
	}{
		{
			"as in the table",
			verifierCosts{{k.String(), "default", "a"}: {Instructions: 1000, Stack: 32}},
			[]report.Result{cost("default", "a", 1000, 32)},
			"",
		},
		{
			"less",
			verifierCosts{{k.String(), "default", "a"}: {Instructions: 1000, Stack: 480}},
			[]report.Result{cost("default", "a", 10, 448)},
			"",
		},
		{
			"a fifth more",
			verifierCosts{{k.String(), "default", "a"}: {Instructions: 1000}},
			[]report.Result{cost("default", "a", 1200, 32)},
			"",
		},
		{
			"over a fifth more",
			verifierCosts{{k.String(), "default", "a"}: {Instructions: 1000}},
			[]report.Result{cost("default", "a", 1201, 32)},
			"verifier default a: the verifier processes 1201 instructions",
		},
		{
			"stack, also when the table has it",
			verifierCosts{{k.String(), "default", "a"}: {Instructions: 1000, Stack: 480}},
			[]report.Result{cost("default", "a", 1000, 449)},
			"verifier default a: 449 bytes of stack",
		},
		{
			"a program that is not in the table",
			verifierCosts{{kernels[1].String(), "default", "a"}: {Instructions: 1000}},
			[]report.Result{cost("default", "a", 1000, 32)},
			"verifier default a: is not in",
		},
		{
			"a configuration that is not in the table",
			verifierCosts{{k.String(), "default", "a"}: {Instructions: 1000}},
			[]report.Result{cost("default", "a", 1000, 32), cost("full", "a", 1000, 32)},
			"verifier full a: is not in",
		},
		{
			"a program that was not loaded",
			verifierCosts{
				{k.String(), "default", "a"}: {Instructions: 1000},
				{k.String(), "default", "b"}: {Instructions: 1000},
			},
			[]report.Result{cost("default", "b", 1000, 32)},
			"verifier default a: is in",
		},
		{
			"a guest that ended early",
			verifierCosts{{k.String(), "default", "a"}: {Instructions: 1000}},
			nil, "no program's cost was reported",
		},
		{
			"a program that the kernel rejects",
			verifierCosts{{k.String(), "default", "a"}: {Instructions: 1000}},
			[]report.Result{rejected},
			"verifier default a: rejected: too large",
		},
		{
			"a new program that the kernel rejects",
			verifierCosts{},
			[]report.Result{rejected},
			"verifier default a: rejected: too large",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := judge(nil, test.results)
			judgeCosts(&v, k, test.table, test.results)
			if test.want == "" && len(v.wrong) > 0 || test.want != "" && (len(v.wrong) != 1 || !strings.HasPrefix(v.wrong[0], test.want)) {
				t.Errorf("wrong: %q, want %q", v.wrong, test.want)
			}
		})
	}
}

func TestDistanceToTheLimits(t *testing.T) {
	k := kernels[0]
	results := []report.Result{cost("default", "a", 5, 320), cost("full", "a", 900_000, 320), cost("default", "b", 6, 400)}
	var v verdict
	judgeCosts(&v, k, verifierCosts{}, results)
	if want := "at most 900000 of 1000000 instructions (full, a), 400 of 512 bytes of stack (default, b)"; v.distance != want {
		t.Errorf("distance: %s, want %s", v.distance, want)
	}
}

// Only the lines of the kernel that ran change, and its programs that are gone go.
func TestReplaceKeepsOtherKernels(t *testing.T) {
	ran, other := kernels[0], kernels[1]
	table := verifierCosts{
		{ran.String(), "default", "a"}:    {Instructions: 1, Stack: 32},
		{ran.String(), "default", "gone"}: {Instructions: 1, Stack: 32},
		{other.String(), "default", "a"}:  {Instructions: 1, Stack: 32},
	}
	table.replace(ran, []report.Result{cost("default", "a", 7, 64)})
	want := verifierCosts{
		{ran.String(), "default", "a"}:   {Instructions: 7, Stack: 64},
		{other.String(), "default", "a"}: {Instructions: 1, Stack: 32},
	}
	if !maps.Equal(table, want) {
		t.Errorf("table: %v, want %v", table, want)
	}
}

// The committed table is as -update writes it, has lines for every kernel, and the
// document has its summary.
func TestCommittedCosts(t *testing.T) {
	table, err := readVerifierCosts(filepath.Join(root, verifierFile))
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile(filepath.Join(root, verifierFile))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, table.text()) {
		t.Errorf("%s is not as go run ./test/kernels -update writes it", verifierFile)
	}
	for _, k := range kernels {
		if len(table.of(k.String())) == 0 {
			t.Errorf("%s has no line for %s", verifierFile, k)
		}
	}
	document, err := os.ReadFile(filepath.Join(root, verifierDocument))
	if err != nil {
		t.Fatal(err)
	}
	if want := verifierBegin + table.summary() + verifierEnd; !strings.Contains(string(document), want) {
		t.Errorf("%s has another summary than the table:\n%s", verifierDocument, want)
	}
}
