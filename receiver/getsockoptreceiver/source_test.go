// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"errors"
	"maps"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/publisher"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// fakeSource is a kernel that makes whatever calls a test sets.
type fakeSource struct {
	mu       sync.Mutex
	ring     []func(probe.Handler)
	snapshot record.Snapshot // its series are those of the next snapshot
	removed  []record.SeriesKey
	degraded []error
	readErr  error
	detached bool
	closed   bool
	wake     chan struct{} // closed and replaced when the ring fills
	waiting  chan struct{} // takes one from a Read that begins to wait, if somebody asks
	options  probe.Options
	// completing is closed unless a test lets Complete wait.
	completing chan struct{}
	// publishersStay: they are not removed as they exit.
	publishersStay bool
}

func newFakeSource() *fakeSource {
	completing := make(chan struct{})
	close(completing)
	return &fakeSource{completing: completing, wake: make(chan struct{}), waiting: make(chan struct{}), snapshot: record.Snapshot{
		RingSize: 4096, SeriesEntries: 1, SeriesLimit: 2000, GroupEntries: 1, GroupLimit: 1023,
		Groups: map[uint32]record.Group{1: {ID: 1, Origin: record.OriginExecutable, Name: "curl"}},
	}}
}

// open is an opener that hands out this source.
func (f *fakeSource) open(_ context.Context, o probe.Options) (source, error) {
	f.options = o
	return f, nil
}

func (f *fakeSource) push(deliver func(probe.Handler)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ring = append(f.ring, deliver)
	close(f.wake)
	f.wake = make(chan struct{})
}

// awaitReader returns once a Read waits for records.
func (f *fakeSource) awaitReader() { <-f.waiting }

// call makes one getsockopt(fd, SOL_SOCKET, option): a record, and a series.
func (f *fakeSource) call(pid uint32, fd, option int32) { f.callIn(1, pid, fd, option) }

// child makes a call within a span of its program.
func (f *fakeSource) child(pid uint32, fd, option int32, parent record.Parent) {
	f.record(1, pid, fd, option, parent)
}

// group makes a service.
func (f *fakeSource) group(id uint32, service string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshot.Groups[id] = record.Group{ID: id, Origin: record.OriginServiceName, Name: service}
}

func (f *fakeSource) Group(id uint32) (record.Group, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g, found := f.snapshot.Groups[id]
	return g, found
}

func (f *fakeSource) callIn(group, pid uint32, fd, option int32) {
	f.record(group, pid, fd, option, record.Parent{})
}

func (f *fakeSource) record(group, pid uint32, fd, option int32, parent record.Parent) {
	f.count(func(c *record.Counters) { c.Seen++; c.Submitted++ })
	f.seriesOf(group, option)
	f.push(func(h probe.Handler) {
		h.Call(&record.Call{
			Process: record.ProcessKey{PID: pid, Start: 1}, Start: 1000, Duration: 500,
			FD: fd, Level: unix.SOL_SOCKET, Option: option, Group: group, Comm: []byte("curl"), Parent: parent,
		})
	})
}

func (f *fakeSource) series(option int32) { f.seriesOf(1, option) }

func (f *fakeSource) seriesOf(group uint32, option int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.snapshot.Series {
		if s := &f.snapshot.Series[i]; s.Group == group && s.Option == option {
			s.Buckets[3]++
			s.Sum += 500
			return
		}
	}
	s := record.Series{SeriesKey: record.SeriesKey{Group: group, Level: unix.SOL_SOCKET, Option: option}, Sum: 500, Buckets: make([]uint64, histogram.Buckets)}
	s.Buckets[3] = 1
	f.snapshot.Series = append(f.snapshot.Series, s)
}

func (f *fakeSource) count(change func(*record.Counters)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.snapshot.Counters)
}

func (f *fakeSource) setDegraded(reasons ...error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.degraded = reasons
}

func (f *fakeSource) Hook() string { return probe.HookRawTracepoint }

func (f *fakeSource) Uncovered() []record.Entry { return []record.Entry{record.EntrySyscallCompat} }

func (f *fakeSource) Degraded() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.degraded
}

func (f *fakeSource) Read(deadline time.Time, limit int, h probe.Handler) (int, error) {
	for {
		f.mu.Lock()
		if f.closed {
			f.mu.Unlock()
			return 0, os.ErrClosed
		}
		if err := f.readErr; err != nil {
			f.mu.Unlock()
			return 0, err
		}
		taken := f.ring[:min(limit, len(f.ring))]
		f.ring = f.ring[len(taken):]
		wake := f.wake
		f.mu.Unlock()
		for _, deliver := range taken {
			deliver(h)
		}
		if len(taken) > 0 || !time.Now().Before(deadline) {
			return len(taken), nil
		}
		select {
		case f.waiting <- struct{}{}:
			continue
		case <-wake:
		case <-time.After(time.Until(deadline)):
		}
	}
}

func (f *fakeSource) Sleep(ctx context.Context, stop <-chan struct{}) {
	for {
		f.mu.Lock()
		ready, wake := f.closed || f.readErr != nil || len(f.ring) > 0, f.wake
		f.mu.Unlock()
		if ready {
			return
		}
		select {
		case f.waiting <- struct{}{}:
			continue
		case <-wake:
		case <-stop:
		case <-ctx.Done():
		}
		return
	}
}

func (f *fakeSource) Complete() { <-f.completing }

func (f *fakeSource) RemovesPublishers() bool { return !f.publishersStay }

func (f *fakeSource) ObservesContexts() bool { return true }

func (f *fakeSource) Processes() ([]record.ProcessKey, error) { return nil, nil }

func (f *fakeSource) Notices() ([]record.ProcessKey, error) { return nil, nil }

func (f *fakeSource) Publish(publisher.Process, string) error { return nil }

func (f *fakeSource) Forget(record.ProcessKey) error { return nil }

func (f *fakeSource) FindOBI() error { return nil }

func (f *fakeSource) AwaitProcessContext(record.ProcessKey, uint64, string) error { return nil }

func (f *fakeSource) Noticed() <-chan struct{} { return nil }

func (f *fakeSource) ContextPublished() <-chan struct{} { return nil }

func (f *fakeSource) ReadProcessContext() (c record.ProcessContext, found bool, err error) {
	return c, false, nil
}

func (f *fakeSource) NameProcess(record.ProcessKey, record.PublishedNames) error { return nil }

func (f *fakeSource) ApplyNames() error { return nil }

func (f *fakeSource) HasNames(uint32) (bool, error) { return true, nil }

func (f *fakeSource) Snapshot() (record.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return record.Snapshot{}, os.ErrClosed
	}
	s := f.snapshot
	f.snapshot.Series = nil
	s.Groups = maps.Clone(s.Groups)
	return s, nil
}

func (f *fakeSource) Remove(series []record.SeriesKey, groups []uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return os.ErrClosed
	}
	f.removed = append(f.removed, series...)
	for _, id := range groups {
		delete(f.snapshot.Groups, id)
	}
	return nil
}

func (f *fakeSource) Detach() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.detached = true
	return nil
}

func (f *fakeSource) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	close(f.wake)
	f.wake = make(chan struct{})
	return nil
}

func (f *fakeSource) state() (detached, closed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.detached, f.closed
}

var errNoPrivileges = errors.New("missing CAP_BPF and CAP_PERFMON")

// refuse is an opener on a host that offers nothing.
func refuse(context.Context, probe.Options) (source, error) { return nil, errNoPrivileges }
