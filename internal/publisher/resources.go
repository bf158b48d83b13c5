// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"context"
	"errors"
	"maps"
	"os"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/getsockopt/getsockoptreceiver/internal/processcontext"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// Contexts is where process contexts come from, and what they are for: a *probe.Probe.
type Contexts interface {
	// ContextPublished receives once there are process contexts that were not read, and for
	// ever once there will be none. It is nil if there never are any.
	ContextPublished() <-chan struct{}
	// ReadProcessContext returns the next process context, if there is one. It returns an error
	// that wraps os.ErrClosed once there will be none.
	ReadProcessContext() (c record.ProcessContext, found bool, err error)
	// NameProcess gives a process names, from its next call after ApplyNames on.
	NameProcess(record.ProcessKey, record.PublishedNames) error
	// ApplyNames makes processes look for their names.
	ApplyNames() error
	// HasNames reports whether a process that was named still runs.
	HasNames(pid uint32) (bool, error)
}

const (
	// batchPause is the least time of a batch, batchMax contexts at most. It bounds what a
	// host on which many processes publish can cost.
	batchPause = 20 * time.Millisecond
	batchMax   = 64
	// forgetInterval is how often processes that have ended are forgotten, and resourcesMax
	// after how many new ones. The kernel's table has half as many.
	forgetInterval = 10 * time.Second
	resourcesMax   = 1024
)

// Resources keeps the resources that running processes publish. Of and Counts are safe for
// concurrent use, Run is for one goroutine.
type Resources struct {
	source Contexts
	logger *zap.Logger

	mu    sync.Mutex
	known map[uint32]published

	read, cut, malformed atomic.Uint64
}

// published is the last process context of a process.
type published struct {
	process    record.ProcessKey
	attributes []workload.Attribute
}

// ResourceCounts are the process contexts that were read, of those the ones that were used in
// part, because they are too large, and those that were not used.
type ResourceCounts struct{ Read, Cut, Malformed uint64 }

// NewResources returns a Resources without any.
func NewResources(source Contexts, logger *zap.Logger) *Resources {
	return &Resources{source: source, logger: logger, known: make(map[uint32]published)}
}

// Of returns the attributes of the resource that a process publishes, nil if it publishes none.
// They must not be changed.
func (r *Resources) Of(process record.ProcessKey) []workload.Attribute {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, found := r.known[process.PID]; found && p.process == process {
		return p.attributes
	}
	return nil
}

// Counts returns the counts so far.
func (r *Resources) Counts() ResourceCounts {
	return ResourceCounts{r.read.Load(), r.cut.Load(), r.malformed.Load()}
}

// Run takes process contexts until stop is closed, ctx is done or the source is closed.
func (r *Resources) Run(ctx context.Context, stop <-chan struct{}) {
	forget := newAlarm()
	defer forget.Stop()
	for {
		if r.count() > 0 {
			forget.within(forgetInterval)
		}
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-forget.C:
			forget.rang()
			r.forget()
			continue
		case <-r.source.ContextPublished():
		}
		for more := true; more; {
			var err error
			if more, err = r.takeBatch(); errors.Is(err, os.ErrClosed) {
				return
			}
			r.debug("Cannot take a process context", err)
			if r.count() > resourcesMax {
				r.forget()
			}
			select {
			case <-stop:
				return
			case <-ctx.Done():
				return
			case <-time.After(batchPause):
			}
		}
	}
}

func (r *Resources) debug(message string, err error) {
	if err != nil {
		r.logger.Debug(message, zap.Error(err))
	}
}

// takeBatch takes the contexts that there are. more reports that they may be more than a batch.
func (r *Resources) takeBatch() (more bool, err error) {
	changed := false
	defer func() {
		if changed {
			r.debug("Cannot apply the names of processes", r.source.ApplyNames())
		}
	}()
	for range batchMax {
		c, found, err := r.source.ReadProcessContext()
		if err != nil {
			// One that cannot be decoded is left out.
			return !errors.Is(err, os.ErrClosed), err
		}
		if !found {
			return false, nil
		}
		named, err := r.take(&c)
		r.debug("Cannot use a process context", err)
		changed = changed || named
	}
	return true, nil
}

// take keeps a context, and names its process. named is false if nothing has changed.
func (r *Resources) take(c *record.ProcessContext) (named bool, err error) {
	attributes, complete, err := processcontext.Decode(c.Payload, c.Cut)
	if err != nil {
		r.malformed.Add(1)
		return false, err
	}
	r.read.Add(1)
	if !complete {
		r.cut.Add(1)
	}
	p := published{process: c.Process, attributes: attributes}
	r.mu.Lock()
	before, found := r.known[p.process.PID]
	if found && before.process == p.process && reflect.DeepEqual(before.attributes, p.attributes) {
		r.mu.Unlock()
		return false, nil
	}
	r.known[p.process.PID] = p
	r.mu.Unlock()
	// After the attributes: with the names comes another record of the process.
	return true, r.source.NameProcess(p.process, workload.PublishedNames(attributes))
}

func (r *Resources) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.known)
}

// forget removes the resources of processes that have ended. The lock is not held during the
// look-ups, for which spans would wait. Only this goroutine adds resources.
func (r *Resources) forget() {
	for _, pid := range r.pids() {
		runs, err := r.source.HasNames(pid)
		if err != nil {
			r.debug("Cannot look for a process", err)
			return
		}
		if !runs {
			r.mu.Lock()
			delete(r.known, pid)
			r.mu.Unlock()
		}
	}
}

func (r *Resources) pids() []uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.known))
}
