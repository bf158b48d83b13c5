// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/shares"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// stuckMax bounds the inspections at a time, each of which holds a thread while a file
// does not answer. A file system can let a reader wait for ever, as FUSE does if its
// program wants to.
const stuckMax = 16

var mayInspect = shares.Threshold{Size: stuckMax, Ratio: 1}

// worker inspects processes, each on a goroutine of its own that may get stuck.
type worker struct {
	root    string // of the proc file system
	inspect func(dir string, key record.ProcessKey, what wanted) (Process, error)
	results chan result               // has space for all inspections
	reading map[uint32]workload.Owner // the processes whose files are being read
}

// result is what came of an inspection, and the time on a CPU that it took.
type result struct {
	of      *watch
	process Process
	err     error
	took    time.Duration
}

func newWorker(root string) *worker {
	known := newFiles()
	return &worker{
		root: root, reading: make(map[uint32]workload.Owner), results: make(chan result, stuckMax),
		inspect: func(dir string, key record.ProcessKey, what wanted) (Process, error) {
			return inspect(dir, key, what, known)
		},
	}
}

// begin begins to inspect a process, unless an inspection of it, or too many others, have
// not ended. Its result comes later.
func (w *worker) begin(of *watch, what wanted) bool {
	if !w.reserve(of.key.PID, of.owner) {
		return false
	}
	key := of.key
	go func() {
		runtime.LockOSThread() // whose time is measured
		defer runtime.UnlockOSThread()
		before := threadTime()
		process, err := w.inspect(w.dir(key), key, what)
		w.results <- result{of, process, err, threadTime() - before}
	}()
	return true
}

func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

func (w *worker) dir(key record.ProcessKey) string {
	return filepath.Join(w.root, strconv.FormatUint(uint64(key.PID), 10))
}

// ended reports whether a process has ended.
func (w *worker) ended(key record.ProcessKey) bool {
	return hasEnded(sameProcess(w.dir(key), key))
}

// reserve reports whether the files of a process may be read.
func (w *worker) reserve(pid uint32, o workload.Owner) bool {
	owned := 0
	for _, other := range w.reading {
		if other == o {
			owned++
		}
	}
	if _, found := w.reading[pid]; found || !mayInspect.Allows(owned, len(w.reading)) {
		return false
	}
	w.reading[pid] = o
	return true
}

// release ends what reserve began, when the result is taken.
func (w *worker) release(pid uint32) { delete(w.reading, pid) }
