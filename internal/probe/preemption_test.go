// SPDX-License-Identifier: Apache-2.0

package probe

import "testing"

func TestPreempts(t *testing.T) {
	for version, want := range map[string]bool{
		"#1 SMP PREEMPT_DYNAMIC Debian 6.1.0-1 (2023-01-07)":            false,
		"#1 SMP Debian 5.10.251-1 (2026-01-01)":                         false,
		"#1 SMP PREEMPT_DYNAMIC @0":                                     false,
		"#1 SMP PREEMPT Mon Jan 1":                                      true,
		"#1 SMP PREEMPT_RT Debian 6.12":                                 true,
		"#1 SMP PREEMPT_LAZY Debian 7.2":                                true,
		"#1-Ubuntu SMP PREEMPT_DYNAMIC, PREEMPT(full) Mon Jan 1":        true,
		"#1-Ubuntu SMP PREEMPT_DYNAMIC, PREEMPT(voluntary) Mon Jan 1":   false,
		"#1-Ubuntu SMP PREEMPT_DYNAMIC, PREEMPT(lazy) Mon Jan 1 2026 x": true,
	} {
		if got := preempts(version); got != want {
			t.Errorf("%q preempts: %t, want %t", version, got, want)
		}
	}
}

func TestExactFirst(t *testing.T) {
	var names []string
	for _, h := range exactFirst(hooks) {
		names = append(names, h.String())
	}
	want := []string{"kprobe (multi)", "kprobe", "fentry", "tracepoint", "raw_tracepoint"}
	for i := range want {
		if names[i] != want[i] {
			t.Fatalf("order %q, want %q", names, want)
		}
	}
}
