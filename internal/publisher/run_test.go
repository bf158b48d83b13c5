// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// running runs a finder over processes that publish nothing, and counts its looks at each.
func running(t *testing.T, source func(*fake), pids ...uint32) (f *fake, looks map[uint32]*atomic.Int32) {
	publishes := make(map[uint32]bool)
	looks = make(map[uint32]*atomic.Int32)
	for _, pid := range pids {
		publishes[pid], looks[pid] = false, new(atomic.Int32)
	}
	finder, f := newFinder(t, true, publishes)
	finder.worker.inspect = func(_ string, key record.ProcessKey, _ wanted) (Process, error) {
		looks[key.PID].Add(1)
		return Process{Key: key}, nil
	}
	f.noticed = make(chan struct{}, 1)
	source(f)
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		finder.Run(t.Context(), stop)
	}()
	t.Cleanup(func() {
		close(stop)
		<-ended
	})
	return f, looks
}

func TestNoticedProcessesAreLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, looks := running(t, func(*fake) {}, 1, 2)
		for pid := uint32(1); pid <= 2; pid++ {
			time.Sleep(time.Hour) // nothing is due any more
			f.notice(pid)
			for at, want := range []int32{1, 2, 2, 3, 3} {
				time.Sleep([]time.Duration{2 * period, pause, pause, 10 * time.Second, time.Hour}[at])
				if got := looks[pid].Load(); got != want {
					t.Errorf("process %d: %d looks, want %d", pid, got, want)
				}
			}
		}
	})
}

// The notices of a period are taken at once, when it is over.
func TestNoticesWaitForAPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, looks := running(t, func(*fake) {}, 1, 2)
		time.Sleep(time.Hour)
		for pid := uint32(1); pid <= 2; pid++ {
			f.notice(pid)
			synctest.Wait()
		}
		for _, want := range []int32{0, 1} {
			for pid, got := range looks {
				if got.Load() != want {
					t.Errorf("process %d: %d looks, want %d", pid, got.Load(), want)
				}
			}
			time.Sleep(2 * period)
		}
	})
}

// A process is looked at as it starts. One that has been running for long is not starting.
func TestLongRunningProcessesAreLookedAtOnce(t *testing.T) {
	const long, young = 1, 2
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		_, looks := running(t, func(f *fake) {
			f.running = []record.ProcessKey{{PID: long}, {PID: young, Start: uint64(now.Nano())}}
		}, long, young)
		time.Sleep(time.Hour)
		for pid, want := range map[uint32]int32{long: 1, young: 3} {
			if got := looks[pid].Load(); got != want {
				t.Errorf("process %d: %d looks, want %d", pid, got, want)
			}
		}
	})
}
