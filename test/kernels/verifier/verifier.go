// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

// frameUnit is what the kernel rounds the stack of a function up to when it adds
// up a chain of calls. With a JIT it is 16 from 6.9 on (round_up_stack_depth in
// kernel/bpf/verifier.c), and from 6.13 on most functions have a stack of their
// own. The strictest way holds for every kernel.
const frameUnit = 32

// Measure returns the cost of a program that was loaded with
// ebpf.LogLevelStats. It reads the program back from the kernel, which takes
// CAP_SYS_ADMIN.
func Measure(p *ebpf.Program) (report.Cost, error) {
	instructions, frames, err := parse(p.VerifierLog)
	if err != nil {
		return report.Cost{}, err
	}
	calls, err := callGraph(p)
	if err != nil {
		return report.Cost{}, err
	}
	// Both lists are in the order of the functions' code.
	if len(calls) != len(frames) {
		return report.Cost{}, fmt.Errorf("the verifier's log has the stack of %d functions, the program has %d", len(frames), len(calls))
	}
	return report.Cost{Instructions: instructions, Stack: deepest(frames, calls, 0)}, nil
}

// The lines of print_verification_stats in kernel/bpf/verifier.c. What follows
// in them, and stands between them, differs between kernels.
var (
	processedLine = regexp.MustCompile(`(?m)^processed (\d+) insns `)
	stackLine     = regexp.MustCompile(`(?m)^stack depth (\d+(?:\+\d+)*)`)
)

// parse reads the verifier's statistics: the instructions it processed, and the
// stack of each function in bytes.
func parse(log string) (instructions int, frames []int, err error) {
	processed, stack := processedLine.FindStringSubmatch(log), stackLine.FindStringSubmatch(log)
	if processed == nil || stack == nil {
		return 0, nil, fmt.Errorf("the verifier's log has no statistics (was the program loaded with ebpf.LogLevelStats?): %q", log)
	}
	if instructions, err = strconv.Atoi(processed[1]); err != nil {
		return 0, nil, fmt.Errorf("read the verifier's statistics: %w", err)
	}
	for depth := range strings.SplitSeq(stack[1], "+") {
		frame, err := strconv.Atoi(depth)
		if err != nil {
			return 0, nil, fmt.Errorf("read the verifier's statistics: %w", err)
		}
		frames = append(frames, frame)
	}
	return instructions, frames, nil
}

// callGraph returns which functions each function of a program calls. The first
// one is the program's own.
func callGraph(p *ebpf.Program) ([][]int, error) {
	info, err := p.Info()
	if err != nil {
		return nil, fmt.Errorf("read the program back: %w", err)
	}
	functions, err := info.FuncInfos()
	if err != nil {
		return nil, fmt.Errorf("read the program's functions back: %w", err)
	}
	instructions, err := info.Instructions()
	if err != nil {
		return nil, fmt.Errorf("read the program's instructions back: %w", err)
	}
	starts := make(map[int]int)
	for i, f := range functions {
		starts[int(f.Offset)] = i
	}
	calls := make([][]int, len(functions))
	current := 0
	for at := instructions.Iterate(); at.Next(); {
		if function, begins := starts[int(at.Offset)]; begins {
			current = function
		}
		if !at.Ins.IsFunctionCall() {
			continue
		}
		// The kernel puts something else into the place of the distance, and keeps
		// that in the offset (jit_subprogs, bpf_patch_call_args).
		target := int(at.Offset) + 1 + int(at.Ins.Offset)
		callee, found := starts[target]
		if !found {
			return nil, fmt.Errorf("instruction %d calls instruction %d, where no function begins", at.Offset, target)
		}
		calls[current] = append(calls[current], callee)
	}
	return calls, nil
}

// deepest adds up the stack of the deepest chain of calls, as
// check_max_stack_depth does. The verifier allows no recursion.
func deepest(frames []int, calls [][]int, function int) int {
	below := 0
	for _, callee := range calls[function] {
		below = max(below, deepest(frames, calls, callee))
	}
	units := (max(frames[function], 1) + frameUnit - 1) / frameUnit
	return units*frameUnit + below
}
