// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"strconv"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/goruntime"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// inspections is how many an owner alone may have, of stuckMax.
const inspections = stuckMax / 2

const (
	hostile workload.Owner = "/user.slice/user-1000.slice"
	other   workload.Owner = "/system.slice/a.service"
)

// newShared returns a finder over processes of two owners: the first of the other one, and
// the rest of the hostile one. Inspections of the latter wait for an answer.
func newShared(t *testing.T, processes uint32, answer <-chan struct{}) (*Finder, *fake) {
	t.Helper()
	cgroups := map[uint32]string{1: string(other)}
	for pid := uint32(2); pid <= processes; pid++ {
		cgroups[pid] = string(hostile)
	}
	f, source := newFinder(t, true, nil)
	f.worker.root = procfs(t, cgroups)
	f.worker.inspect = func(_ string, key record.ProcessKey, _ wanted) (Process, error) {
		if key.PID > 1 {
			<-answer
		}
		return Process{Key: key, Go: goruntime.Offsets{Labels: 1}}, nil
	}
	return f, source
}

// However many processes of an owner have files that do not answer, those of others are
// found in the same round.
func TestStuckFiles(t *testing.T) {
	answer := make(chan struct{})
	f, source := newShared(t, 3*inspections, answer)
	now := time.Now()
	for pid := uint32(2); pid <= 3*inspections; pid++ {
		f.notice(record.ProcessKey{PID: pid}, now, false)
	}
	for range 3 * inspections { // rounds last about a period
		f.lookAtDue(now)
	}
	if len(f.worker.reading) != inspections {
		t.Errorf("%d inspections of an owner, want %d", len(f.worker.reading), inspections)
	}
	f.notice(record.ProcessKey{PID: 1}, now, false)
	f.lookAtDue(now)
	if len(source.published) != 1 || source.published[0].Key.PID != 1 {
		t.Errorf("published %v, want process 1", source.published)
	}

	// Late results count, but for those of images that are gone.
	var stuck []uint32
	for pid := range f.worker.reading {
		stuck = append(stuck, pid)
	}
	f.notice(record.ProcessKey{PID: stuck[0], ExecID: 1}, now, false)
	close(answer)
	for range inspections {
		f.settle(<-f.worker.results)
	}
	if len(source.published) != inspections || len(f.worker.reading) != 0 {
		t.Errorf("%d processes are published, want %d; %d inspections have not ended", len(source.published), inspections, len(f.worker.reading))
	}
}

func TestStuckFilesAreBounded(t *testing.T) {
	w := newWorker(t.TempDir())
	for pid := range uint32(10 * stuckMax) {
		w.reserve(pid, workload.Owner(strconv.Itoa(int(pid))))
	}
	if len(w.reading) != stuckMax {
		t.Errorf("%d inspections, want %d", len(w.reading), stuckMax)
	}
	w.release(0)
	if !w.reserve(1000, "another") {
		t.Error("no inspection may begin after one has ended")
	}
}

// An owner whose processes execute programs without end uses up the budget, and does not
// keep those of others from being found.
func TestOwnersShareTheBudget(t *testing.T) {
	answer := make(chan struct{})
	close(answer)
	f, source := newShared(t, 1000, answer)
	f.owners[hostile] = &account{spent: time.Second}
	f.budget = 0
	now := time.Now()
	for pid := uint32(2); pid <= 1000; pid++ {
		f.notice(record.ProcessKey{PID: pid, ExecID: 7}, now, false)
	}
	f.notice(record.ProcessKey{PID: 1}, now, false)
	f.lookAtDue(now)
	if len(source.published) != 1 || source.published[0].Key.PID != 1 {
		t.Errorf("published %d processes, want process 1 alone", len(source.published))
	}
	f.budget = -burst
	f.notice(record.ProcessKey{PID: 1, ExecID: 1}, now, false)
	f.lookAtDue(now)
	if len(source.published) != 1 {
		t.Error("the budget is exceeded without bound")
	}
}
