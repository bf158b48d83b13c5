// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// While nobody reads, whatever one program sends leaves space in the ring buffer for others, of
// its own owner too. Once all is read nobody holds any of it.
func TestSpaceInTheRingBufferIsShared(t *testing.T) {
	const ring, calls = 256 << 10, 5
	long := "OTEL_RESOURCE_ATTRIBUTES=key=" + strings.Repeat("x", 4000)
	flood := func(script string) func(*testing.T, func(*exec.Cmd) *exec.Cmd) {
		return func(t *testing.T, in func(*exec.Cmd) *exec.Cmd) {
			t.Helper()
			caller.Run(t, in(caller.Command(t, script, "OTEL_SERVICE_NAME=flood")))
		}
	}
	floods := map[string]func(*testing.T, func(*exec.Cmd) *exec.Cmd){
		"calls":                flood("loop:5000"),
		"failures":             flood("fail:1"),
		"processes":            nil,
		"invented services":    nil,
		"requests of io_uring": flood("iouring batch:1500"),
	}
	for name, services := range map[string]int{"processes": 1, "invented services": 1000} {
		floods[name] = func(t *testing.T, in func(*exec.Cmd) *exec.Cmd) {
			t.Helper()
			for i := range 100 {
				caller.Run(t, in(caller.Command(t, "loop:1", long, fmt.Sprintf("OTEL_SERVICE_NAME=flood-%d", i%services))))
			}
		}
	}
	for name, flood := range floods {
		if name == "requests of io_uring" && !uringPossible(t) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			o := spans(HookAuto)
			o.RingBytes = ring
			p := open(t, o)
			if name == "requests of io_uring" {
				p.Complete()
			}
			attacker, other := owner(t, "flood"), owner(t, "other")
			flood(t, attacker)
			full := snapshot(t, p)
			if full.Counters.RingFull == 0 {
				t.Fatalf("nothing was lost, so nothing is tested: %+v", full)
			}
			in := []func(*exec.Cmd) *exec.Cmd{other, other, other}
			if name != "invented services" { // they are all that their owner may have
				in = append(in, attacker)
			}
			var victims []int
			for i, in := range in {
				c := in(caller.Command(t, fmt.Sprintf("loop:%d", calls), fmt.Sprintf("OTEL_SERVICE_NAME=victim-%d", i)))
				caller.Run(t, c)
				victims = append(victims, c.Process.Pid)
			}
			all := drain(t, p, 0)
			byProcess := make(map[int]int)
			for i := range all.calls {
				call := &all.calls[i]
				if _, described := all.processes[call.Process]; described {
					byProcess[int(call.Process.PID)]++
				}
			}
			for i, pid := range victims {
				if byProcess[pid] != calls {
					t.Errorf("%d spans of process %d arrived, want %d", byProcess[pid], i, calls)
				}
			}
			// As docs/accounting.md has it, and the record that exceeds it.
			most := 2 * ring / 3
			if name == "invented services" {
				most = 4 * ring / 5
			}
			if full.RingBytes > most+10<<10 {
				t.Errorf("%d bytes of %d are in use, want at most %d", full.RingBytes, ring, most)
			}
			t.Logf("%d of %d bytes were in use, %d spans lost", full.RingBytes, ring, full.Counters.RingFull)
			for i, use := range p.ringUses.uses {
				if use.ByGroup != 0 || use.ByOwner != 0 {
					t.Errorf("index %d holds %+v of an empty ring buffer", i, use)
				}
			}
			checkAccounting(t, p)
		})
	}
}
