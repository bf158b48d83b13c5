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
	// stuckMax bounds the reads that still wait after that, each of which holds a thread. An
	// owner of processes may have one.
	stuckMax = 16
)

// worker inspects processes, each on a goroutine of its own that is left behind if it gets
// stuck.
type worker struct {
	root  string // of the proc file system
	files *files

	mu    sync.Mutex
	stuck map[owner]int
	all   int // the sum of stuck
}

// owner is whose processes a stuck read stops from being inspected.
type owner struct {
	uid       uint32
	container string // the mount namespace, empty if it cannot be read
}

func newWorker(root string) *worker {
	return &worker{root: root, files: newFiles(), stuck: make(map[owner]int)}
}

type result struct {
	process Process
	err     error
}

// inspect looks for active spans in a process and for its process context, or returns an error that wraps os.ErrDeadlineExceeded. Errors
// of a process that has ended wrap os.ErrNotExist or errOther.
func (w *worker) inspect(key record.ProcessKey, spans, contexts bool) (Process, error) {
	dir := filepath.Join(w.root, strconv.FormatUint(uint64(key.PID), 10))
	o, err := ownerOf(dir)
	if err != nil {
		return Process{}, err
	}
	if !w.begin(o) {
		return Process{}, fmt.Errorf("files of other processes of its owner do not answer: %w", os.ErrDeadlineExceeded)
	}
	done := make(chan result, 1)
	go func() {
		process, err := inspect(dir, key, w.files, spans, contexts)
		w.end(o)
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

func ownerOf(dir string) (owner, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return owner{}, err
	}
	o := owner{uid: info.Sys().(*syscall.Stat_t).Uid}
	o.container, _ = os.Readlink(filepath.Join(dir, "ns", "mnt"))
	return o, nil
}

func (w *worker) begin(o owner) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all >= stuckMax || w.stuck[o] > 0 {
		return false
	}
	w.stuck[o]++
	w.all++
	return true
}

func (w *worker) end(o owner) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all--
	delete(w.stuck, o)
}
