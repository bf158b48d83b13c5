// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// patience bounds the wait for what comes at once: without a wakeup it would not come at all.
const patience = time.Minute

// Whenever the reader falls asleep, the next call wakes it up: one before, one whose record is
// being written, and one after.
func TestCallsWakeASleepingReader(t *testing.T) {
	rounds := 5000
	if testing.Short() { // under emulation
		rounds = 200
	}
	p := open(t, spans(HookAuto))
	c := caller.Command(t, "asked:1")
	ask, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(ask.Close(), c.Wait()); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for round := range rounds {
		if _, err := ask.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
		// Some of the time that a call takes to be made.
		for range rand.IntN(20_000) {
			_ = p.closed
		}
		var got collected
		for len(got.calls) == 0 {
			p.Sleep(ctx, nil)
			if ctx.Err() != nil {
				t.Fatalf("the call of round %d did not wake the reader", round)
			}
			if _, err := p.Read(time.Now(), 1<<20, &got); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// While the reader does not sleep, a record wakes it only for a part of the ring buffer.
func TestCallsDoNotWakeAReaderThatIsAwake(t *testing.T) {
	p := open(t, spans(HookAuto))
	caller.Run(t, caller.Command(t, "loop:1"))
	drain(t, p, 0)
	select {
	case <-p.events.woken: // as the process was identified
	default:
	}
	caller.Run(t, caller.Command(t, "loop:100"))
	select {
	case <-p.events.woken:
		t.Error("woken")
	default:
	}
	if got := len(drain(t, p, 0).calls); got != 100 {
		t.Errorf("%d calls, want 100", got)
	}
}

func TestSleepEnds(t *testing.T) {
	p := open(t, spans(HookAuto))
	ended := make(chan struct{})
	sleep := func(ctx context.Context, stop <-chan struct{}) {
		p.Sleep(ctx, stop)
		ended <- struct{}{}
	}
	stop := make(chan struct{})
	go sleep(t.Context(), stop)
	close(stop)
	<-ended
	ctx, cancel := context.WithCancel(t.Context())
	go sleep(ctx, nil)
	cancel()
	<-ended
	go sleep(t.Context(), nil)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	<-ended
	go sleep(t.Context(), nil)
	<-ended
	if _, err := p.Read(time.Now().Add(patience), 1, &collected{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want %v", err, os.ErrClosed)
	}
}

// Each notice wakes user space, also one that comes while the notices before are taken, and
// however many were not taken in time.
func TestNoticesWake(t *testing.T) {
	p := open(t, spans(HookAuto))
	p.Complete()
	full := os.Getpagesize() / 16 // a header and a pid each
	if testing.Short() {          // under emulation
		full = 4
	}
	for _, others := range []int{0, 0, full, 0} {
		c := caller.Command(t, "asked:1")
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		for range others {
			caller.Run(t, caller.Command(t, "loop:1"))
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for found := false; !found; {
			select {
			case <-p.Noticed():
			case <-time.After(patience):
				t.Fatal("a notice did not wake user space")
			}
			keys, err := p.Notices()
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range keys {
				found = found || int(key.PID) == c.Process.Pid
			}
		}
		if err := errors.Join(in.Close(), c.Wait()); err != nil {
			t.Fatal(err)
		}
	}
}
