// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// totals makes the calls since the previous snapshot of a probe whose series are totals.
type totals struct {
	*probe.Probe
	before map[seriesID]record.Series
}

type seriesID struct {
	record.SeriesKey
	overflow bool
}

func (t *totals) Snapshot() (record.Snapshot, error) {
	s, err := t.Probe.Snapshot()
	if err != nil {
		return s, err
	}
	var since []record.Series
	for _, now := range s.Series {
		id := seriesID{now.SeriesKey, now.Overflow}
		before := t.before[id]
		t.before[id] = now
		increment := now
		increment.Sum -= before.Sum
		increment.Buckets = append([]uint64(nil), now.Buckets...)
		for i, n := range before.Buckets {
			increment.Buckets[i] -= n
		}
		if increment.Count() > 0 {
			since = append(since, increment)
		}
	}
	s.Series = since
	return s, nil
}

func (*totals) Remove([]record.SeriesKey, []uint32) error { return nil }
