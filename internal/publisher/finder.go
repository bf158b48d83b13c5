// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/goruntime"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/shares"
	"github.com/getsockopt/getsockoptreceiver/internal/tlsvariable"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// Process is a publisher: what it publishes, and where.
type Process struct {
	Key record.ProcessKey
	Go  goruntime.Offsets // of a Go program, for its pprof labels; zero for none
	// Variable is the thread-local variable with the context of OTEP 4947; zero for none.
	Variable Variable
	// Context is the address of the header of the process context of OTEP 4719; 0 for none.
	Context uint64
}

// Variable is how the threads of a process reach a variable.
type Variable struct {
	Access tlsvariable.Access // zero for none
	At     uint64             // the distance from the thread pointer, or the address of the slot
	Musl   bool               // the C library is musl, otherwise glibc
}

// hasSpans reports whether the process publishes its active span.
func (p *Process) hasSpans() bool { return *p != Process{Key: p.Key, Context: p.Context} }

// Source is where the finder learns of processes, and what it finds is for: a *probe.Probe.
type Source interface {
	// Processes returns the processes of the host.
	Processes() ([]record.ProcessKey, error)
	// Noticed receives once there are notices that were not returned, and for ever once the
	// source is closed.
	Noticed() <-chan struct{}
	// Notices returns the processes that may have become publishers since the last call. It
	// returns an error that wraps os.ErrClosed once the source is closed.
	Notices() ([]record.ProcessKey, error)
	// Publish makes spans of the process have parents, if its owner has space for it.
	Publish(p Process, owner string) error
	// AwaitProcessContext makes the process read its process context, whose header is at an
	// address, in one of its next calls, if its owner has space for it.
	AwaitProcessContext(key record.ProcessKey, address uint64, owner string) error
	// Forget removes a process that has ended.
	Forget(record.ProcessKey) error
	// FindOBI uses the map of OpenTelemetry's eBPF instrumentation if there is one by now.
	FindOBI() error
}

const (
	// period is how often the finder takes notices and looks at processes at most.
	period = 100 * time.Millisecond
	// share is the share of a CPU that looking at processes may take, and burst how much
	// it may take at once: for the processes that run when the receiver starts.
	share = 0.02
	burst = time.Second
	// pause is the least time between two looks at a process.
	pause = 500 * time.Millisecond
	// patience is how long a look at a process holds up others: one whose files do not
	// answer by then ends later, or never.
	patience = 50 * time.Millisecond
	// looksAtStart is how often the finder looks at a process that has just started.
	looksAtStart = 2
	// watchedMax bounds the processes that are to be looked at.
	watchedMax = 8192
)

var mayWatch = shares.Threshold{Size: watchedMax, Ratio: 2}

// Finder looks at processes and publishes those that it finds to be publishers. Add is safe
// for concurrent use, Run is for one goroutine.
type Finder struct {
	Options
	source Source
	worker *worker
	added  chan record.ProcessKey

	watched map[uint32]*watch
	owners  map[workload.Owner]*account
	budget  time.Duration // of time on a CPU
	halved  time.Time     // when half of what owners spent was forgotten
	warned  bool

	warnedOBI bool
}

// Options are the options of a finder.
type Options struct {
	Root     string        // where a proc file system is mounted
	Interval time.Duration // between later looks at a process, a second or more
	// Observed: the source notices every process that becomes a publisher. Looking at others
	// ends after a few times, and process contexts are searched in those that run at the
	// start only.
	Observed bool
	Parents  bool // look for active spans
	Logger   *zap.Logger
}

// New returns a finder.
func New(source Source, o Options) *Finder {
	o.Interval = max(o.Interval, pause)
	return &Finder{
		Options: o, source: source,
		worker:  newWorker(o.Root),
		added:   make(chan record.ProcessKey, 256),
		watched: make(map[uint32]*watch),
		owners:  make(map[workload.Owner]*account),
	}
}

// Add makes the finder look at a process. It does not wait: a process for which there is no
// space is looked at after its next notice.
func (f *Finder) Add(key record.ProcessKey) {
	select {
	case f.added <- key:
	default:
	}
}

// Run looks at processes until stop is closed, ctx is done or the source is closed.
func (f *Finder) Run(ctx context.Context, stop <-chan struct{}) {
	running, err := f.source.Processes()
	if err != nil {
		f.Logger.Warn("Cannot list the processes of the host; what they publish is found at their first span", zap.Error(err))
	}
	for _, key := range running {
		if w := f.notice(key, time.Now(), true); w != nil && runsFor(key) > f.Interval {
			w.looks = looksAtStart // as if it had been noticed then
		}
	}
	f.budget = burst
	var again <-chan time.Time
	if f.Parents {
		ticker := time.NewTicker(f.Interval)
		defer ticker.Stop()
		again = ticker.C
		f.findOBI()
	}
	next := newAlarm()
	defer next.Stop()
	next.within(period)
	noticed := f.source.Noticed()
	last := time.Now()
	f.halved = last
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case key := <-f.added:
			now := time.Now()
			if w := f.notice(key, now, !f.Observed); w != nil && w.isDue(now) {
				f.lookAt(w, f.owners[w.owner])
			}
			next.within(period)
			continue
		case r := <-f.worker.results:
			f.settle(r)
			next.within(period)
			continue
		case <-again:
			f.findOBI()
			continue
		case <-noticed:
			// More may come, and a program that has just started has not loaded its libraries.
			noticed = nil
			next.within(period)
		case <-next.C:
			next.rang()
			if noticed == nil {
				err := f.takeNotices()
				if errors.Is(err, os.ErrClosed) {
					return
				}
				if err != nil {
					next.within(period) // nothing wakes for those that were not taken
				} else {
					noticed = f.source.Noticed()
				}
			}
			f.earn(&last)
			f.lookAtDue(last)
			if wait, found := f.untilDue(time.Now()); found {
				next.within(wait)
			}
		}
	}
}

func (f *Finder) takeNotices() error {
	keys, err := f.source.Notices()
	if err != nil {
		f.Logger.Debug("Cannot read the notices of processes", zap.Error(err))
	}
	for _, key := range keys {
		f.notice(key, time.Now(), !f.Observed)
	}
	return err
}

// earn adds the budget since a time, which becomes now, and forgets what owners have spent.
func (f *Finder) earn(since *time.Time) {
	now := time.Now()
	f.budget = min(f.budget+time.Duration(share*float64(now.Sub(*since))), burst)
	*since = now
	seconds := now.Sub(f.halved) / time.Second
	f.halved = f.halved.Add(seconds * time.Second)
	for range min(seconds, 64) { // nothing is left then
		f.halve()
	}
}

// untilDue returns how long to wait until a process is due, but no less than a period. found
// is false if none will be.
func (f *Finder) untilDue(now time.Time) (wait time.Duration, found bool) {
	var first time.Time
	for _, w := range f.watched {
		// The result of a look that has not ended comes by itself.
		if !w.reads && (!found || w.due.Before(first)) {
			first, found = w.due, true
		}
	}
	return max(period, first.Sub(now)), found
}

// runsFor returns how long a process has been running.
func runsFor(key record.ProcessKey) time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano() - int64(key.Start))
}

func (f *Finder) findOBI() {
	err := f.source.FindOBI()
	if err != nil && !f.warnedOBI {
		f.warnedOBI = true
		f.Logger.Warn("Cannot use the active spans of OpenTelemetry's eBPF instrumentation. Logged once", zap.Error(err))
	}
}

// lookAtDue looks at the processes that are due, as long as the budget lasts, but not much
// longer than a period. The owner that has spent the least comes first, so that no owner
// keeps the processes of others from being found.
func (f *Finder) lookAtDue(now time.Time) {
	due := make(map[*account][]*watch)
	for _, w := range f.watched {
		switch {
		case !w.isDue(now):
		case !w.done:
			a := f.owners[w.owner]
			due[a] = append(due[a], w)
		default:
			f.unwatch(w)
			f.forgetEnded(w)
		}
	}
	for begin := time.Now(); len(due) > 0 && time.Since(begin) < period; {
		a := leastSpent(due)
		if !f.mayLook(a) {
			return
		}
		last := len(due[a]) - 1
		w := due[a][last]
		if due[a] = due[a][:last]; last == 0 {
			delete(due, a)
		}
		f.lookAt(w, a)
	}
}

// mayLook reports whether there is budget left for an owner. One that has used little may
// borrow some.
func (f *Finder) mayLook(a *account) bool {
	return f.budget > 0 || a.spent < little && f.budget > -burst
}

// forgetEnded removes a process that ended while the source was told of it: BPF programs,
// which remove others as they exit, may not have found it yet.
func (f *Finder) forgetEnded(w *watch) {
	if !w.found || !f.worker.ended(w.key) {
		return
	}
	if err := f.source.Forget(w.key); err != nil {
		f.log(w.key, err)
	}
}

// lookAt looks at a process, if there is budget left, and waits for the result for a while.
func (f *Finder) lookAt(w *watch, a *account) {
	if !f.mayLook(a) {
		return
	}
	begin := time.Now()
	defer func() { a.spent += time.Since(begin) }()
	w.last = begin
	if !f.worker.begin(w, wanted{f.Parents, w.scan}) {
		w.due = begin.Add(pause) // its files, or those of others, still do not answer
		return
	}
	w.reads = true
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for w.reads {
		select {
		case r := <-f.worker.results:
			f.settle(r)
		case <-timer.C:
			return
		}
	}
}

// settle takes the result of a look, unless the process has another image by now.
func (f *Finder) settle(r result) {
	w := r.of
	f.worker.release(w.key.PID)
	f.budget -= r.took
	w.reads = false
	if f.watched[w.key.PID] != w {
		return
	}
	again, found := f.take(w, r)
	w.found = found
	noticed := w.due.After(w.last) // while it was looked at
	w.last = time.Now()
	w.looks++
	wait := f.wait(w.looks)
	if w.done = !again && !noticed || wait == 0; w.done {
		wait = pause // for which it is kept
	}
	w.due = w.last.Add(wait)
}

// wait returns how long to wait for the next look at a process that does not publish, 0 for
// no further look. A program may load the library by which it publishes at any time, but
// mostly does so as it starts.
func (f *Finder) wait(looks int) time.Duration {
	switch {
	case looks == 1:
		return pause
	case !f.Observed, looks == looksAtStart:
		return f.Interval
	}
	return 0
}

// take uses what a look has found, and reports whether to look again, and whether the source
// knows the process now.
func (f *Finder) take(w *watch, r result) (again, known bool) {
	found, err := r.process, r.err
	switch {
	case hasEnded(err):
		return false, w.found
	case err != nil:
		f.log(w.key, err)
		return true, false
	}
	if found.Context != 0 {
		known = true
		err = f.source.AwaitProcessContext(found.Key, found.Context, string(w.owner))
		w.scan = !f.Observed // updates
	}
	published := found.hasSpans()
	if published {
		known = true
		err = errors.Join(err, f.source.Publish(found, string(w.owner)))
	}
	if err != nil {
		f.log(w.key, err)
		return true, known
	}
	return !published && f.Parents || w.scan, known
}

// log warns once of what affects other processes too.
func (f *Finder) log(key record.ProcessKey, err error) {
	const message = "Cannot find out what a process publishes"
	err = fmt.Errorf("process %d: %w", key.PID, err)
	if f.warned {
		f.Logger.Debug(message, zap.Error(err))
		return
	}
	f.warned = true
	if errors.Is(err, os.ErrPermission) {
		f.Logger.Warn(message+". Grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. Without them spans of such processes have no parent, and a resource that was published before the start is not found. Logged once", zap.Error(err))
		return
	}
	f.Logger.Warn(message+". Logged once", zap.Error(err))
}
