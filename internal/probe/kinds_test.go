// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"os"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// kinds are what programs do, and what a probe must observe of it. They share the probe of a
// hook: in a virtual machine loading it takes longer than all of them.
var kinds = []struct {
	name  string
	uring bool // needs getsockopt requests
	check func(*testing.T, *Probe)
}{
	{name: "calls", check: checkCalls},
	{name: "calls of 32-bit programs", check: checkCompat},
	{name: "calls answered by seccomp", check: checkAnsweredBySeccomp},
	{name: "calls killed by seccomp", check: checkKilledBySeccomp},
	{name: "other system calls", check: checkOtherCalls},
	{name: "pending errors", check: func(t *testing.T, p *Probe) { checkPeers(t, p, caller.PeersOfErrors) }},
	{name: "requests", uring: true, check: checkRequests},
	{name: "ways of requests", uring: true, check: checkWays},
	{name: "requests in reused memory", uring: true, check: checkReusedMemory},
	{name: "requests of broken chains", uring: true, check: checkBrokenChains},
	{name: "requests of a closed ring", uring: true, check: checkClosedRing},
}

func TestEveryKindThroughEveryHook(t *testing.T) {
	possible := uringPossible(t)
	if !possible && kernelAtLeast(6, 7) {
		t.Error("this kernel should have getsockopt in io_uring")
	}
	for _, hook := range working(t) {
		t.Run(hook, func(t *testing.T) {
			o := spans(hook)
			o.PeerParts = record.PeerAddress | record.PeerPort
			p := open(t, o)
			p.Complete()
			for _, kind := range kinds {
				if !kind.uring || possible {
					t.Run(kind.name, func(t *testing.T) { kind.check(t, p) })
				}
			}
			checkAccounting(t, p)
			checkNothingDeferred(t, p)
		})
	}
}

// A program that makes its calls and exits before anybody reads.
func checkCalls(t *testing.T, p *Probe) {
	const rounds = 5
	c := caller.Command(t, fmt.Sprintf("kinds:%d", rounds), "OTEL_SERVICE_NAME=kinds")
	caller.Run(t, c)
	got := drain(t, p, c.Process.Pid)
	kinds := caller.Kinds()
	if len(got.calls) != rounds*len(kinds) {
		t.Fatalf("%d calls, want %d", len(got.calls), rounds*len(kinds))
	}
	for i := range got.calls {
		checkCall(t, &got.calls[i], kinds[i%len(kinds)])
		if i > 0 && got.calls[i].Start < got.calls[i-1].Start+got.calls[i-1].Duration {
			t.Errorf("call %d begins before call %d ends", i, i-1)
		}
	}
	process := got.processes[got.calls[0].Process]
	if process.NamespacePID == 0 || int(process.ParentPID) != os.Getpid() {
		t.Errorf("process %+v, want a parent %d", process, os.Getpid())
	}
	checkSeries(t, snapshot(t, p), process.Group, "kinds", rounds)
}
