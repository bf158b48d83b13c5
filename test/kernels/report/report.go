// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"fmt"
	"strings"
)

// PlanFile is where a guest finds its plan, and Publishers where programs that publish their
// active span.
const (
	PlanFile   = "/plan.json"
	Publishers = "/publishers"
)

// Everything is a parameter of a kernel's command line, which the kernel hands to a guest's
// first program in its environment: the guest runs the tests that are the same everywhere as
// well.
const Everything = "GETSOCKOPT_EVERYTHING"

// CallsPerEntryPoint is how many calls one run of test/kernels/entrypoints makes.
const CallsPerEntryPoint = 20

// Plan is what a guest does between its boot and its end.
type Plan struct {
	Hooks          []string // of the probe
	EntryPoints    []EntryPoint
	Tests          []Tests
	Collector      string   // the Collector's binary
	CollectorHooks []string // with which it runs; empty leaves it out
}

// Tests is a test binary, and which of its tests run.
type Tests struct {
	Binary string
	Only   string // a pattern as of go test -run; empty runs all
	// SameEverywhere is a pattern of those that run only with Everything; empty for none.
	SameEverywhere string
}

// EntryPoint is one way into the kernel's getsockopt.
type EntryPoint struct {
	Name     string
	Program  string // of test/kernels/entrypoints
	Argument string
	Entry    string // socket.entry of its calls
	// OtherThread is set when a kernel thread submits the calls, so that it, and
	// not the caller's own, is the calling thread.
	OtherThread bool
}

// Outcome is how a case went.
type Outcome string

// The outcomes.
const (
	Works       Outcome = "works"       // each call seen once, with the right name, mark, result and value
	Refused     Outcome = "refused"     // the hook did not start, with a reason
	Blind       Outcome = "blind"       // the calls worked, and none was seen
	Unsupported Outcome = "unsupported" // the kernel has no such entry point
	Failed      Outcome = "failed"
)

// Result is the outcome of one case.
type Result struct {
	Case    string
	Outcome Outcome
	Detail  string
	Cost    *Cost `json:",omitempty"` // of a program that was verified
}

// Cost is what a program costs the kernel's verifier.
type Cost struct {
	Instructions int // that it processed, at most InstructionLimit
	Stack        int // bytes, of the deepest chain of calls, at most StackLimit
}

// The verifier's limits: BPF_COMPLEXITY_LIMIT_INSNS (1000000 since 5.2) and
// MAX_BPF_STACK.
const (
	InstructionLimit = 1_000_000
	StackLimit       = 512
)

// StackMax is the most stack that a program may take here: the next version of
// the compiler may need more than this one.
const StackMax = 448

// Names of cases.
const (
	Boot = "boot" // the guest came up
	Done = "done" // the guest did all of its plan
)

// Test names the case of a Go test.
func Test(name string) string { return "test " + name }

// Verifier names the case of a program that is loaded with a configuration.
func Verifier(configuration, program string) string {
	return "verifier " + configuration + " " + program
}

// Verified returns the configuration and the program that a case of Verifier
// names. It is false for other cases.
func Verified(name string) (configuration, program string, found bool) {
	name, isVerifier := strings.CutPrefix(name, "verifier ")
	configuration, program, found = strings.Cut(name, " ")
	return configuration, program, found && isVerifier
}

// Probe names the case of an entry point behind a hook of internal/probe; of the hook
// itself without an entry point.
func Probe(hook, entryPoint string) string { return name("probe", hook, entryPoint) }

// Collector names the case of an entry point seen by the Collector; of its start and
// end without an entry point.
func Collector(hook, entryPoint string) string { return name("collector", hook, entryPoint) }

func name(parts ...string) string { return strings.TrimSpace(strings.Join(parts, " ")) }

// mark starts a line that holds a result, among the kernel's and programs' own.
const mark = "@@ "

// Line is a result as a guest prints it.
func (r Result) Line() string {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and numbers
	}
	return fmt.Sprintf("%s%s\n", mark, b)
}

// Parse reads a line of a guest's console. It is false for one that holds no
// result.
func Parse(line string) (Result, bool) {
	_, text, found := strings.Cut(line, mark)
	if !found {
		return Result{}, false
	}
	var r Result
	if err := json.Unmarshal([]byte(strings.TrimSpace(text)), &r); err != nil || r.Case == "" {
		return Result{}, false
	}
	return r, true
}
