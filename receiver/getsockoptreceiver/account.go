// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"fmt"
	"strings"

	"github.com/getsockopt/getsockoptreceiver/internal/metrics"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// account is the accounting as of one collection: the result of every call. It is not
// changed once made, so that all self-telemetry of one export comes from the same reading
// and the equations hold:
//
//	seen = filtered + sampledOut + emitted + lost + inFlight.traces
//	seen = calls.Sent + calls.Expired + filtered + uncounted + inFlight.metrics
type account struct {
	kernel    record.Counters
	user      counts
	calls     metrics.Calls
	seen      uint64
	inFlight  struct{ traces, metrics uint64 }
	fill      fill
	hook      string
	uncovered []record.Entry
	hasTraces bool

	incomplete workload.Incomplete // in addition to the kernel's counts
}

// fill is the use and the size of the ring buffer and the kernel's tables.
type fill struct {
	ringBytes, ringSize        int
	seriesEntries, seriesLimit int
	groupEntries, groupLimit   int
}

// newAccount computes the accounting. user must have been read before the snapshot, so
// that the call of each counted span is counted too, and calls after it was added. The counters of several CPUs are not
// read at one instant, and a call may be in its series but not yet in seen. Calls that are
// accounted for were seen, so seen is at least their number, and never decreases.
func newAccount(user counts, s *record.Snapshot, calls metrics.Calls, hook string, hasTraces bool, before *account) *account {
	a := &account{kernel: s.Counters, user: user, calls: calls, hook: hook, hasTraces: hasTraces, seen: s.Counters.Seen}
	a.fill = fill{
		ringBytes: s.RingBytes, ringSize: s.RingSize,
		seriesEntries: s.SeriesEntries, seriesLimit: s.SeriesLimit,
		groupEntries: s.GroupEntries, groupLimit: s.GroupLimit,
	}
	counted := calls.Sent + calls.Expired + a.kernel.Filtered + a.kernel.Uncounted()
	a.seen = max(a.seen, counted)
	if before != nil {
		a.seen = max(a.seen, before.seen)
	}
	if hasTraces {
		traces := a.kernel.Filtered + a.kernel.SampledOut + user.emitted + a.lost()
		a.seen = max(a.seen, traces)
		a.inFlight.traces = a.seen - traces
	}
	a.inFlight.metrics = a.seen - counted
	return a
}

// lost returns how many calls should have a span and have none.
func (a *account) lost() uint64 {
	n := a.kernel.Uncounted() + a.kernel.RingFull
	for _, lost := range a.user.lost {
		n += lost
	}
	return n
}

// undrained returns how many calls were written to the ring buffer and not read.
func (a *account) undrained() uint64 {
	taken := a.user.emitted
	for _, lost := range a.user.lost {
		taken += lost
	}
	return a.kernel.Submitted - min(taken, a.kernel.Submitted)
}

// losses returns an error with the reasons for which calls were lost since the account
// before, nil if none were lost. It contains no numbers, because each collection during a
// loss would then be another status; the metrics have them. Calls observed at entry or
// return only are not included: calls that ran when the hook was attached, whose thread
// was killed, or that a seccomp filter answered, are no fault.
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
