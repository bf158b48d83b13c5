// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"fmt"
	"strings"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// account is where every call went, as of one harvest. It does not change once
// made, so that all the receiver's own metrics of one collection come from the
// same reading and their equations hold:
//
//	seen = filtered + sampledOut + emitted + lost + inFlight.traces
//	seen = counted + filtered + uncounted + inFlight.metrics
type account struct {
	kernel    record.Counters
	user      counts
	counted   uint64 // calls in all series
	seen      uint64
	inFlight  struct{ traces, metrics uint64 }
	fill      fill
	hook      string
	uncovered []record.Entry
	hasTraces bool

	incomplete workload.Incomplete // beside what the kernel counts
}

// fill is how full the ring and the kernel's tables are.
type fill struct {
	ringBytes, ringSize        int
	seriesEntries, seriesLimit int
	groupEntries, groupLimit   int
}

// newAccount balances the books. The user side must have been read before the
// kernel's, so that no span is counted whose call is not. What the kernel
// counts on several CPUs is not read at one instant, and a call may be in its
// series but not yet in seen: what is accounted for was certainly seen, so seen
// is never less, nor less than it was before.
func newAccount(user counts, s *record.Snapshot, hook string, hasTraces bool, before *account) *account {
	a := &account{kernel: s.Counters, user: user, hook: hook, hasTraces: hasTraces, seen: s.Counters.Seen}
	for i := range s.Series {
		a.counted += s.Series[i].Count()
	}
	a.fill = fill{
		ringBytes: s.RingBytes, ringSize: s.RingSize,
		seriesEntries: s.SeriesEntries, seriesLimit: s.SeriesLimit,
		groupEntries: s.GroupEntries, groupLimit: s.GroupLimit,
	}
	metrics := a.counted + a.kernel.Filtered + a.kernel.Uncounted()
	a.seen = max(a.seen, metrics)
	if before != nil {
		a.seen = max(a.seen, before.seen)
	}
	if hasTraces {
		traces := a.kernel.Filtered + a.kernel.SampledOutTotal() + user.emitted + a.lost()
		a.seen = max(a.seen, traces)
		a.inFlight.traces = a.seen - traces
	}
	a.inFlight.metrics = a.seen - metrics
	return a
}

// lost is how many calls have no span that should have one.
func (a *account) lost() uint64 {
	n := a.kernel.Uncounted() + a.kernel.RingFull
	for _, lost := range a.user.lost {
		n += lost
	}
	return n
}

// unread is how many calls the kernel handed to the ring that nobody took.
func (a *account) undrained() uint64 {
	taken := a.user.emitted
	for _, lost := range a.user.lost {
		taken += lost
	}
	return a.kernel.Submitted - min(taken, a.kernel.Submitted)
}

// losses names the reasons for which calls were lost since the account before;
// nil when there are none. It gives no numbers, which would make each harvest
// of a lasting loss another status; the metrics have them. A call without an
// entry or a return is not named: one that ran when the hook was attached, whose
// thread was killed, or that a seccomp filter refused, is no fault of the
// collection.
func (a *account) losses(before *account) error {
	if before == nil {
		before = &account{}
	}
	var reasons []string
	add := func(reason string, now, then uint64) {
		if now > then {
			reasons = append(reasons, reason)
		}
	}
	add("no_storage", a.kernel.NoStorage, before.kernel.NoStorage)
	if a.hasTraces {
		add("ring_full", a.kernel.RingFull, before.kernel.RingFull)
		for reason, n := range a.user.lost {
			add(lossReason(reason).String(), n, before.user.lost[reason])
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	return fmt.Errorf("calls were lost: %s", strings.Join(reasons, ", "))
}
