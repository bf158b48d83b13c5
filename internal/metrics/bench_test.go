// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// BenchmarkBuild is what a collection costs above the kernel: series to pdata.
func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{2_000, 10_000} {
		b.Run(fmt.Sprintf("series=%d", n), func(b *testing.B) {
			s := &record.Snapshot{Groups: map[uint32]record.Group{}}
			for i := range n {
				id := uint32(i/20 + 1)
				s.Groups[id] = group(id, record.OriginServiceName, fmt.Sprintf("service-%d", id), "shop")
				s.Series = append(s.Series, series(record.SeriesKey{Group: id, Level: 1, Option: int32(1 + i%20)}, 900, 1200, 5000))
			}
			builder := New(Options{Resource: resources(), Start: start, Enabled: all})
			b.ReportAllocs()
			for b.Loop() {
				builder.Add(s, 0)
				for _, batch := range builder.Build(nil, at) {
					builder.Done(batch, true)
				}
			}
		})
	}
}

// BenchmarkPut is the exemplar of each span in a run of one series.
func BenchmarkPut(b *testing.B) {
	store := NewExemplars()
	series := record.SeriesKey{Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_RCVBUF}
	b.ReportAllocs()
	var n uint64
	for b.Loop() {
		n++
		store.Put(Candidate{series, Exemplar{Duration: 200 + n%200}})
	}
}
