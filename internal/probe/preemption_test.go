// SPDX-License-Identifier: Apache-2.0

package probe

import "testing"

func TestPreemptibleKernelsAreDetected(t *testing.T) {
	for _, test := range []struct {
		release, version string
		want             bool
	}{
		{"5.10.0-43-cloud-amd64", "#1 SMP Debian 5.10.251-1 (2026-01-01)", false},
		{"6.1.0-49-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-01-01)", false},
		{"6.12.48+deb13-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.48-1 (2025-09-20)", false},
		{"6.12.48+deb13-rt-amd64", "#1 SMP PREEMPT_RT Debian 6.12.48-1 (2025-09-20)", true},
		{"6.18.1", "#1 SMP PREEMPT_DYNAMIC @0", true},
		{"7.2.3+deb14-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 7.2.3-1 (2026-10-01)", true},
		{"6.6.1", "#1 SMP PREEMPT Mon Jan 1", true},
		{"odd", "#1 SMP PREEMPT_DYNAMIC", false},
	} {
		t.Run(test.release+" "+test.version, func(t *testing.T) {
			if got := preempts(test.release, test.version); got != test.want {
				t.Errorf("preempts: %t, want %t", got, test.want)
			}
		})
	}
}

func TestHookOrderOnPreemptibleKernels(t *testing.T) {
	var names []string
	for _, h := range kprobesFirst(hooks) {
		names = append(names, h.String())
	}
	want := []string{"kprobe (multi)", "kprobe", "fentry", "tracepoint", "raw_tracepoint"}
	for i := range want {
		if names[i] != want[i] {
			t.Fatalf("order %q, want %q", names, want)
		}
	}
}
