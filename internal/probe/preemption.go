// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelPreempts reports whether the kernel is preemptible. On such a kernel fentry is
// not exact: while a task that was preempted inside a trampoline's program waits, the
// kernel skips that program for every other task on the CPU (__bpf_prog_enter_recur, since
// 5.12). kprobes run with preemption disabled.
//
// The version string contains the model that the kernel was built with: "PREEMPT",
// "PREEMPT_RT" and "PREEMPT_LAZY" are preemptible. With "PREEMPT_DYNAMIC" the model is
// chosen at boot: before 6.13 distributions use the voluntary model, from 6.13 on lazy
// preemption, and 7.0 has no other.
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

// atLeast reports whether the release of a kernel, such as 6.12.48-amd64, is a version or
// a later one. It reports false for a release that it cannot parse.
func atLeast(release string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(release, "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}

// kprobesFirst returns the hooks with those of kprobes before fentry: they are exact on
// preemptible kernels, and cost other system calls as little.
func kprobesFirst(all []hook) []hook {
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
