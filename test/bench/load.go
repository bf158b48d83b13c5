// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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
	loadSpread = "spread"    // getsockopt, in that many series in turn
	loadTCP    = "TCP"       // SO_RCVBUF of a connection, whose span has the most attributes
	loadNop    = "uring_nop" // an io_uring request that the receiver does not observe
)

// order is a command for the load, one a line: the fields in their order.
type order struct {
	name    string
	series  int // of loadSpread
	batches int
	calls   int           // in a batch
	every   time.Duration // from the beginning of a batch to that of the next; 0: at once
}

func (o order) label() string {
	if o.name == loadSpread {
		return fmt.Sprintf("%s over %d", o.name, o.series)
	}
	return o.name
}

// warmUp returns how many batches precede the measured ones: two, or as many as create
// every series of loadSpread. To create a series costs more than to find it.
func (o order) warmUp(calls int) int {
	return 2 + o.series/calls
}

func (o order) isGetsockopt() bool { return o.name != loadPPID && o.name != loadNop }

// load carries out orders, and answers each with the nanoseconds of its batches. The
// batches are shorter than a time slice, so that their median is that of a
// batch which nobody interrupted.
func load(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	c, err := newCalls()
	if err != nil {
		return err
	}
	orders := bufio.NewScanner(in)
	for orders.Scan() {
		var o order
		if _, err := fmt.Sscan(orders.Text(), &o.name, &o.series, &o.batches, &o.calls, &o.every); err != nil {
			return fmt.Errorf("order %q: %w", orders.Text(), err)
		}
		run, err := c.batch(o)
		if err != nil {
			return err
		}
		answer := make([]byte, 0, 16*o.batches)
		for range o.batches {
			begin := time.Now()
			run()
			answer = strconv.AppendInt(answer, int64(time.Since(begin)), 10)
			answer = append(answer, ' ')
			spinUntil(begin.Add(o.every))
		}
		if _, err := out.Write(append(answer, '\n')); err != nil {
			return err
		}
	}
	return orders.Err()
}

// spinUntil keeps the CPU busy: asleep, it would become slow.
func spinUntil(end time.Time) {
	now := time.Now()
	for now.Before(end) {
		now = time.Now()
	}
}

// calls is what the load makes its calls with.
type calls struct {
	fd       uintptr
	attempts []attempt
	next     int // of the attempts: one order goes on where another ended
}

func newCalls() (*calls, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a socket: %w", err)
	}
	c := &calls{fd: uintptr(fd)}
	c.attempts, err = attempts()
	return c, err
}

// batch returns one batch of calls, whose loop does nothing else.
func (c *calls) batch(o order) (func(), error) {
	switch o.name {
	case loadType:
		return func() { getsockopts(c.fd, unix.SO_TYPE, o.calls) }, nil
	case loadError:
		return func() { getsockopts(c.fd, unix.SO_ERROR, o.calls) }, nil
	case loadTCP:
		fd, err := connection()
		if err != nil {
			return nil, err
		}
		return func() { getsockopts(fd, unix.SO_RCVBUF, o.calls) }, nil
	case loadPPID:
		return func() {
			for range o.calls {
				_, _, _ = syscall.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
			}
		}, nil
	case loadSpread:
		if o.series > len(c.attempts) {
			return nil, fmt.Errorf("%d series are ordered, calls differ in %d ways", o.series, len(c.attempts))
		}
		return func() { c.spread(o.series, o.calls) }, nil
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

// stride takes the attempts out of order, as real programs would. It is a prime: each is
// taken.
const stride = 4099

// spread makes calls in so many series. Few are taken from all over the attempts: they fail
// in as many ways as many.
func (c *calls) spread(series, calls int) {
	for range calls {
		_ = c.attempts[c.take(series)].call()
	}
}

// take returns the index of the next attempt of so many.
func (c *calls) take(series int) int {
	c.next = (c.next + stride) % series
	return c.next * (len(c.attempts) / series)
}

// connection returns a TCP socket that is connected. Without garbage collection the other
// end stays open.
func connection() (uintptr, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open a socket: %w", err)
	}
	to := l.Addr().(*net.TCPAddr)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err != nil {
		return 0, fmt.Errorf("connect to %v: %w", to, err)
	}
	return uintptr(fd), nil
}

// worker is a process that makes calls, on one CPU.
type worker struct {
	*harness.Worker
	calls  uint64    // of getsockopt, made so far
	others []*worker // of other services, which take turns with it in loadSpread
}

// startWorker starts a process of a service.
func startWorker(ctx context.Context, cpu int, service string) (*worker, error) {
	c := exec.CommandContext(ctx, "/proc/self/exe")
	// Signals that preempt goroutines would interrupt the loop.
	c.Env = []string{roleVariable + "=" + roleLoad, "OTEL_SERVICE_NAME=" + service, "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=1"}
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

// startServices starts processes of so many services on one CPU. One process cannot make
// calls in more series than there are attempts.
func startServices(ctx context.Context, cpu, services int) (*worker, error) {
	w, err := startWorker(ctx, cpu, "load")
	if err != nil {
		return nil, err
	}
	for i := 1; i < services; i++ {
		other, err := startWorker(ctx, cpu, fmt.Sprintf("load-%d", i))
		if err != nil {
			return nil, errors.Join(err, w.stop())
		}
		w.others = append(w.others, other)
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

// do gives an order and returns the time of one call: the median of the batches. Services
// take turns, a batch each.
func (w *worker) do(o order) (float64, error) {
	if o.isGetsockopt() {
		w.calls += uint64(o.batches) * uint64(o.calls)
	}
	given := []*worker{w}
	times := 1
	if o.name == loadSpread && len(w.others) > 0 {
		given = append(given, w.others...)
		times, o.batches, o.series = o.batches, 1, o.series/len(given)
	}
	var batches []float64
	for i := range times {
		some, err := given[i%len(given)].give(o)
		if err != nil {
			return 0, err
		}
		batches = append(batches, some...)
	}
	slices.Sort(batches)
	return quantile(batches, 0.5), nil
}

// paced makes so many calls a second for a time. In between the CPU is free.
func (w *worker) paced(o order, perSecond int, length time.Duration) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	begin := time.Now()
	for made := 0; time.Since(begin) < length; made += o.calls {
		<-ticker.C
		o.batches, o.calls = 1, max(1, int(time.Duration(perSecond)*time.Since(begin)/time.Second)-made)
		if _, err := w.do(o); err != nil {
			return err
		}
	}
	return nil
}

// give gives an order to one process and returns the time of a call in each batch.
func (w *worker) give(o order) ([]float64, error) {
	if _, err := fmt.Fprintln(w.In, o.name, o.series, o.batches, o.calls, int64(o.every)); err != nil {
		return nil, fmt.Errorf("give an order: %w", err)
	}
	answer, err := w.Out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("read the load's answer: %w", err)
	}
	var batches []float64
	for _, field := range strings.Fields(answer) {
		ns, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read the load's answer: %w", err)
		}
		batches = append(batches, float64(ns)/float64(o.calls))
	}
	return batches, nil
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
	for _, other := range w.others {
		err = errors.Join(err, other.stop())
	}
	return err
}
