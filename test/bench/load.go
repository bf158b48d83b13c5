// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// The loads: the calls that are made in a row.
const (
	loadType   = "SO_TYPE"   // getsockopt, the common case
	loadError  = "SO_ERROR"  // getsockopt, whose value the programs read
	loadPPID   = "getppid"   // a system call that the receiver does not observe
	loadSpread = "spread"    // getsockopt, of that many options in turn: so many series
	loadNop    = "uring_nop" // an io_uring request that the receiver does not observe
)

// order is a command for the load, one a line:
// "name options batches calls".
type order struct {
	name    string
	options int // of loadSpread
	batches int
	calls   int // in a batch
}

func (o order) label() string {
	if o.name == loadSpread {
		return fmt.Sprintf("%s over %d", o.name, o.options)
	}
	return o.name
}

// warmUp returns how many batches precede the measured ones: two, or as many as create
// every series of loadSpread. To create a series costs more than to find it.
func (o order) warmUp(calls int) int {
	return 2 + o.options/calls
}

func (o order) isGetsockopt() bool { return o.name != loadPPID && o.name != loadNop }

// load carries out orders, and answers each with the nanoseconds of its batches. The
// batches are shorter than a time slice, so that their median is that of a
// batch which nobody interrupted.
func load(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	orders := bufio.NewScanner(in)
	next := 0 // option of loadSpread: one order goes on where another ended
	for orders.Scan() {
		var o order
		if _, err := fmt.Sscan(orders.Text(), &o.name, &o.options, &o.batches, &o.calls); err != nil {
			return fmt.Errorf("order %q: %w", orders.Text(), err)
		}
		run, err := o.batch(uintptr(fd), &next)
		if err != nil {
			return err
		}
		answer := make([]byte, 0, 16*o.batches)
		for range o.batches {
			begin := time.Now()
			run()
			answer = strconv.AppendInt(answer, int64(time.Since(begin)), 10)
			answer = append(answer, ' ')
		}
		if _, err := out.Write(append(answer, '\n')); err != nil {
			return err
		}
	}
	return orders.Err()
}

// batch returns one batch of calls, whose loop does nothing else.
func (o order) batch(fd uintptr, next *int) (func(), error) {
	switch o.name {
	case loadType:
		return func() { getsockopts(fd, unix.SO_TYPE, o.calls) }, nil
	case loadError:
		return func() { getsockopts(fd, unix.SO_ERROR, o.calls) }, nil
	case loadPPID:
		return func() {
			for range o.calls {
				_, _, _ = syscall.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
			}
		}, nil
	case loadSpread:
		return func() { *next = spread(fd, *next, o.options, o.calls) }, nil
	case loadNop:
		ring, err := newRing()
		if err != nil {
			return nil, err
		}
		return func() { ring.nops(o.calls) }, nil
	}
	return nil, fmt.Errorf("unknown load %q", o.name)
}

func getsockopts(fd uintptr, option, calls int) {
	var value, length int32
	length = 4
	for range calls {
		_, _, _ = syscall.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, uintptr(option),
			uintptr(unsafe.Pointer(&value)), uintptr(unsafe.Pointer(&length)), 0)
	}
}

// firstOption begins a row of options that do not exist, each its own series.
// A prime stride takes them out of order, as real programs would.
const (
	firstOption = 1_000_000
	stride      = 4099
)

func spread(fd uintptr, next, options, calls int) int {
	var value, length int32
	length = 4
	next %= options
	for range calls {
		_, _, _ = syscall.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, uintptr(firstOption+next),
			uintptr(unsafe.Pointer(&value)), uintptr(unsafe.Pointer(&length)), 0)
		if next += stride % options; next >= options {
			next -= options
		}
	}
	return next
}

// worker is a process that makes calls, on a CPU of its own.
type worker struct {
	*harness.Worker
	calls uint64 // of getsockopt, made so far
}

func startWorker(ctx context.Context, cpu int) (*worker, error) {
	c := exec.CommandContext(ctx, "/proc/self/exe")
	// Signals that preempt goroutines would interrupt the loop.
	c.Env = []string{roleVariable + "=" + roleLoad, "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=1"}
	c.Stderr = os.Stderr
	started, err := harness.StartWorker(c)
	if err != nil {
		return nil, err
	}
	w := &worker{Worker: started}
	// Its first answer comes when all its threads are there to be pinned.
	if _, err := w.do(order{name: loadPPID, batches: 1, calls: 1}); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	if err := pin(w.PID(), cpu); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

func pin(pid, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return fmt.Errorf("list the load's threads: %w", err)
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return fmt.Errorf("pin the load to CPU %d: %w", cpu, err)
		}
	}
	return nil
}

// do gives an order and returns the time of one call: the median of the batches.
func (w *worker) do(o order) (float64, error) {
	if _, err := fmt.Fprintln(w.In, o.name, o.options, o.batches, o.calls); err != nil {
		return 0, fmt.Errorf("give an order: %w", err)
	}
	answer, err := w.Out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("read the load's answer: %w", err)
	}
	var batches []float64
	for _, field := range strings.Fields(answer) {
		ns, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the load's answer: %w", err)
		}
		batches = append(batches, float64(ns)/float64(o.calls))
	}
	if o.isGetsockopt() {
		w.calls += uint64(o.batches) * uint64(o.calls)
	}
	slices.Sort(batches)
	return quantile(batches, 0.5), nil
}

// wakeFor is how long a CPU is kept busy before anything counts: one that has
// been idle is slower for some milliseconds, by up to 40 % where it was seen.
const wakeFor = 50 * time.Millisecond

// wake keeps the load's CPU busy with calls that no mode observes.
func (w *worker) wake(calls int) error {
	for begin := time.Now(); time.Since(begin) < wakeFor; {
		if _, err := w.do(order{name: loadPPID, batches: 10, calls: calls}); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) stop() error {
	_, err := w.Stop()
	return err
}
