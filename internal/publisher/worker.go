// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

const (
	// patience is how long the files of a process may take to read. A file system can let a
	// reader wait for ever, as FUSE does if its program wants to.
	patience = 500 * time.Millisecond
	// stuckMax bounds the reads that still wait after that, each of which holds a thread, and
	// ownerMax those of one owner of processes.
	stuckMax = 16
	ownerMax = 4
)

// worker inspects processes, each on a goroutine of its own that is left behind if it gets
// stuck.
type worker struct {
	root    string // of the proc file system
	inspect func(dir string, key record.ProcessKey, what wanted) (Process, error)

	mu      sync.Mutex
	reading map[uint32]owner // the processes whose files are being read
}

// owner is who shares in the reads that are stuck.
type owner struct {
	uid       uint32
	container string // the mount namespace, empty if it cannot be read
}

func newWorker(root string) *worker {
	known := newFiles()
	return &worker{root: root, reading: make(map[uint32]owner), inspect: func(dir string, key record.ProcessKey, what wanted) (Process, error) {
		return inspect(dir, key, what, known)
	}}
}

type result struct {
	process Process
	err     error
}

// look inspects a process, or returns an error that wraps os.ErrDeadlineExceeded.
func (w *worker) look(key record.ProcessKey, what wanted) (Process, error) {
	dir := w.dir(key)
	o, err := ownerOf(dir)
	if err != nil {
		return Process{}, err
	}
	if !w.begin(key.PID, o) {
		return Process{}, fmt.Errorf("its files, or those of others, still do not answer: %w", os.ErrDeadlineExceeded)
	}
	done := make(chan result, 1)
	go func() {
		process, err := w.inspect(dir, key, what)
		w.end(key.PID)
		done <- result{process, err}
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.process, r.err
	case <-timer.C:
		return Process{}, fmt.Errorf("its files do not answer: %w", os.ErrDeadlineExceeded)
	}
}

func (w *worker) dir(key record.ProcessKey) string {
	return filepath.Join(w.root, strconv.FormatUint(uint64(key.PID), 10))
}

// ended reports whether a process has ended.
func (w *worker) ended(key record.ProcessKey) bool {
	return hasEnded(sameProcess(w.dir(key), key))
}

func ownerOf(dir string) (owner, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return owner{}, err
	}
	o := owner{uid: info.Sys().(*syscall.Stat_t).Uid}
	o.container, _ = os.Readlink(filepath.Join(dir, "ns", "mnt"))
	return o, nil
}

// begin reports whether the files of a process may be read.
func (w *worker) begin(pid uint32, o owner) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	owned := 0
	for _, other := range w.reading {
		if other == o {
			owned++
		}
	}
	if _, found := w.reading[pid]; found || owned >= ownerMax || len(w.reading) >= stuckMax {
		return false
	}
	w.reading[pid] = o
	return true
}

func (w *worker) end(pid uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.reading, pid)
}
