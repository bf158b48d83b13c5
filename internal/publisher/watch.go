// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// watch is a process that is to be looked at.
type watch struct {
	key   record.ProcessKey
	owner workload.Owner
	due   time.Time
	last  time.Time // of the last look
	reads bool      // a look has not ended
	scan  bool      // for its process context: it may have published that unnoticed
	looks int       // since the last notice
	done  bool      // no further look without a notice; kept for a pause after the last
	found bool      // the source knows it since the last look
}

// notice makes a process due, but not sooner than a pause after the last look at it. It
// returns nil if there is no space for the process, or nothing to look for.
func (f *Finder) notice(key record.ProcessKey, now time.Time, scan bool) *watch {
	if !f.Parents && !scan {
		return nil
	}
	w := f.watched[key.PID]
	if w == nil || w.key != key {
		return f.watch(key, now, scan)
	}
	w.looks, w.done = 0, false
	w.due = later(now, w.last.Add(pause))
	return w
}

// watch adds a process, which may be the next image of one that is watched.
func (f *Finder) watch(key record.ProcessKey, now time.Time, scan bool) *watch {
	o, err := workload.OwnerOf(f.worker.dir(key))
	if hasEnded(err) {
		return nil
	}
	if before := f.watched[key.PID]; before != nil {
		f.unwatch(before)
	}
	a := f.owners[o]
	if a == nil {
		a = &account{}
		f.owners[o] = a
	}
	if !mayWatch.Allows(a.watched, len(f.watched)) {
		return nil
	}
	w := &watch{key: key, owner: o, due: now, scan: scan}
	f.watched[key.PID] = w
	a.watched++
	return w
}

func (f *Finder) unwatch(w *watch) {
	delete(f.watched, w.key.PID)
	f.owners[w.owner].watched--
}

func (w *watch) isDue(now time.Time) bool { return !w.due.After(now) && !w.reads }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// account is what an owner has of the finder.
type account struct {
	watched int
	// spent is the time for which the finder was occupied with its processes. Half of it is
	// forgotten in a second.
	spent time.Duration
}

// little is what an owner may have spent and still be served when the budget is used up by
// others.
const little = 5 * time.Millisecond

// halve forgets half of what owners have spent, and the owners that have nothing.
func (f *Finder) halve() {
	for o, a := range f.owners {
		if a.spent /= 2; a.spent < time.Millisecond {
			a.spent = 0
		}
		if *a == (account{}) {
			delete(f.owners, o)
		}
	}
}

// leastSpent returns the account that has spent the least.
func leastSpent(due map[*account][]*watch) (least *account) {
	for a := range due {
		if least == nil || a.spent < least.spent {
			least = a
		}
	}
	return least
}
