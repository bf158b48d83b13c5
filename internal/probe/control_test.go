// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// asked is a program that makes a call for each byte that it reads.
type asked struct{ in io.Writer }

func startAsked(t *testing.T) asked {
	t.Helper()
	c := caller.Command(t, "asked:1")
	in, _ := startPiped(t, c)
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), c.Wait()); err != nil {
			t.Error(err)
		}
	})
	return asked{in}
}

func (a asked) call(t *testing.T) {
	t.Helper()
	if _, err := a.in.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
}

// The control loop sleeps while nothing is called. The next call wakes it, of a program that
// has not called before, and of one that has.
func TestCallsWakeTheControlLoop(t *testing.T) {
	p := open(t, Options{Hook: HookAuto, sleepPeriod: time.Hour})
	c := startAsked(t)
	for range 2 {
		await(t, "the control loop sleeps", func() bool {
			return atomic.LoadUint32(&p.places.shares.ControlSleeps) != 0
		})
		before := p.adjustedTo()
		c.call(t)
		await(t, "the control loop takes notice of a call", func() bool { return p.adjustedTo() > before })
	}
}

// Requests of io_uring that were submitted before the control loop fell asleep wake it as they
// end.
func TestRequestsThatEndWakeTheControlLoop(t *testing.T) {
	if !uringPossible(t) {
		return
	}
	const requests = 40
	p := open(t, Options{Hook: HookAuto, sleepPeriod: time.Hour})
	p.Complete()
	end := holder(t, caller.Command(t, fmt.Sprintf("late:%d", requests)))
	await(t, "the control loop sleeps", func() bool {
		return atomic.LoadUint32(&p.places.shares.ControlSleeps) != 0
	})
	before := p.adjustedTo()
	end()
	await(t, "the control loop takes notice of the requests", func() bool { return p.adjustedTo() >= before+requests })
}

// What wakes the control loop and is no call does not keep it awake: a command of io_uring to
// another kind of file.
func TestAWakeupWithoutACall(t *testing.T) {
	p := open(t, Options{Hook: HookAuto, sleepPeriod: time.Hour})
	p.stopControlLoop()
	quiet := func() time.Duration {
		t.Helper()
		next, err := p.adjust(idlePeriod)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	if _, err := p.adjust(idlePeriod); err != nil { // takes notice of the calls before
		t.Fatal(err)
	}
	if next := quiet(); next != time.Hour {
		t.Fatalf("without calls the control loop sleeps %v", next)
	}
	if err := p.awake(time.Second); err != nil {
		t.Fatal(err)
	}
	if first, second := quiet(), quiet(); first != idlePeriod || second != time.Hour {
		t.Errorf("after a wakeup without a call the control loop waits %v and then %v, want %v and an hour", first, second, idlePeriod)
	}
}

// adjustedTo returns the calls of the last adjustment.
func (p *Probe) adjustedTo() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// A call that comes as the control loop falls asleep is seen, or wakes it.
func TestCallsAsTheControlLoopFallsAsleep(t *testing.T) {
	rounds := 5000
	if testing.Short() { // under emulation
		rounds = 200
	}
	p := open(t, Options{Hook: HookAuto, sleepPeriod: time.Hour})
	p.stopControlLoop()
	c := startAsked(t)
	seen, woken := 0, 0
	for round := range rounds {
		if _, err := p.adjust(controlPeriod); err != nil { // takes notice of the calls before
			t.Fatal(err)
		}
		select {
		case <-p.wakeups.woken: // by a call that was seen too
		default:
		}
		c.call(t)
		for range rand.IntN(4_000) { // some of the time that a call takes to be made
			runtime.KeepAlive(p)
		}
		next, err := p.sleep()
		if err != nil {
			t.Fatal(err)
		}
		if next != time.Hour {
			seen++
			continue
		}
		woken++
		select {
		case <-p.wakeups.woken:
		case <-time.After(patience):
			t.Fatalf("the call of round %d was neither seen nor woke the control loop", round)
		}
		if err := p.awake(0); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d calls were seen, %d woke", seen, woken)
}
