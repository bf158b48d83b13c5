// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"math"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// System calls other than getsockopt run none of the programs, but with raw
// tracepoints, where they run both. The kernel itself counts the runs.
func checkOtherCalls(t *testing.T, p *Probe) {
	const calls = 1000
	statistics, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		t.Fatal(err)
	}
	defer statistics.Close()
	// The least of several times: other programs of the host call too.
	least := uint64(math.MaxUint64)
	for range 20 {
		before := runs(t, p)
		for range calls {
			unix.Getppid()
		}
		least = min(least, runs(t, p)-before)
	}
	if p.Hook() == HookRawTracepoint {
		if least < 2*calls {
			t.Errorf("%d runs in %d calls, want two for each", least, calls)
		}
	} else if least != 0 {
		t.Errorf("%d runs in %d calls, want none", least, calls)
	}
}

// runs is how often the programs of a probe have run.
func runs(t *testing.T, p *Probe) (n uint64) {
	t.Helper()
	for _, loaded := range []programs{p.collection.Programs, p.ioUring} {
		for _, program := range loaded {
			s, err := program.Stats()
			if err != nil {
				t.Fatal(err)
			}
			n += s.RunCount
		}
	}
	return n
}
