// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
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
// The version string tells the model that the kernel was built with:
// "PREEMPT", "PREEMPT_RT" and "PREEMPT_LAZY" can. "PREEMPT_DYNAMIC" chooses at
// boot, which the string does not tell: before 6.13 distributions start in the
// voluntary model, since then lazy preemption takes its place, and from 7.0 on
// there is no other.
func kernelPreempts() bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false
	}
	return preempts(unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Version[:]))
}

func preempts(release, version string) bool {
	for _, word := range strings.FieldsFunc(version, func(r rune) bool { return r == ' ' || r == ',' }) {
		switch word {
		case "PREEMPT", "PREEMPT_LAZY", "PREEMPT_RT":
			return true
		case "PREEMPT_DYNAMIC":
			return atLeast(release, 6, 13)
		}
	}
	return false
}

// atLeast compares the release of a kernel, such as 6.12.48-amd64.
func atLeast(release string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(release, "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
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
