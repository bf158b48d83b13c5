// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelPreempts says whether a task can lose the CPU inside the kernel. On
// such a kernel fentry is not exact: while a task that was preempted inside a
// trampoline's program waits, the kernel skips that program for every other
// task on the CPU (__bpf_prog_enter_recur, since 5.12). kprobes run with
// preemption off.
//
// The kernel's version string tells: "PREEMPT_LAZY", "PREEMPT_RT",
// "PREEMPT(full)", or of a kernel whose model is fixed, "PREEMPT".
// "PREEMPT_DYNAMIC" alone boots into the voluntary model on Debian; since 6.14
// the model in force follows in parentheses.
func kernelPreempts() bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false
	}
	return preempts(unix.ByteSliceToString(name.Version[:]))
}

func preempts(version string) bool {
	for _, word := range strings.FieldsFunc(version, func(r rune) bool { return r == ' ' || r == ',' }) {
		switch word {
		case "PREEMPT", "PREEMPT_LAZY", "PREEMPT_RT", "PREEMPT(full)", "PREEMPT(lazy)":
			return true
		}
	}
	return false
}

// exactFirst puts the kprobe hooks, which cost other calls as little, ahead of
// fentry.
func exactFirst(all []hook) []hook {
	ordered := slices.Clone(all)
	slices.SortStableFunc(ordered, func(a, b hook) int {
		switch {
		case a.name == HookKprobe && b.name == HookFentry:
			return -1
		case a.name == HookFentry && b.name == HookKprobe:
			return 1
		}
		return 0
	})
	return ordered
}
