// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/shares"
)

const (
	// waitMost is how long files of processes are waited for at once, and waitShare the share
	// of the time after that. waitLeast is for each process in any case: much more than its
	// files take to read.
	waitMost  = 500 * time.Millisecond
	waitShare = 0.05
	waitLeast = 20 * time.Millisecond
	// stuckMax bounds the readings that nobody waits for any more. Each holds a thread.
	stuckMax = 16
)

var mayRead = shares.Threshold{Size: stuckMax, Ratio: 1}

// patience bounds the time spent on files of processes. A program can make a reader of its
// environment wait for ever: one of its threads waits for a page from a file system that does
// not answer, such as FUSE, another one for the lock that the first one has, and the reader
// needs that lock as well. It is not safe for concurrent use.
type patience struct {
	reading readings
	left    time.Duration
	since   time.Time
}

// readings are those that have not ended, by the owners of the processes.
type readings struct {
	mu  sync.Mutex
	of  map[Owner]int
	all int
}

// begin reports whether a reading may begin.
func (r *readings) begin(o Owner) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !mayRead.Allows(r.of[o], r.all) {
		return false
	}
	r.of[o]++
	r.all++
	return true
}

func (r *readings) end(o Owner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all--
	if r.of[o]--; r.of[o] == 0 {
		delete(r.of, o)
	}
}

func newPatience() *patience {
	return &patience{reading: readings{of: make(map[Owner]int)}, left: waitMost, since: time.Now()}
}

// read calls a function on a goroutine of its own, and waits for it. An error wraps
// os.ErrDeadlineExceeded: the function then has not ended, or was not called.
func (p *patience) read(o Owner, read func() reading) (reading, error) {
	if !p.reading.begin(o) {
		return reading{}, fmt.Errorf("files of other processes of %s do not answer: %w", o, os.ErrDeadlineExceeded)
	}
	done := make(chan reading, 1)
	go func() {
		r := read()
		p.reading.end(o)
		done <- r
	}()
	begin := time.Now()
	p.left = min(waitMost, p.left+time.Duration(waitShare*float64(begin.Sub(p.since))))
	timer := time.NewTimer(max(p.left, waitLeast))
	defer timer.Stop()
	defer func() {
		p.since = time.Now()
		p.left = max(0, p.left-max(0, p.since.Sub(begin)-waitLeast/5))
	}()
	select {
	case r := <-done:
		return r, nil
	case <-timer.C:
		return reading{}, fmt.Errorf("its files do not answer: %w", os.ErrDeadlineExceeded)
	}
}
