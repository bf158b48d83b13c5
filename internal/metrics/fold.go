// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"slices"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// pointKey is the attributes of a point. Series that differ only in the option's number
// (SO_RCVTIMEO has one for each word size) have the same key, because a metric must not
// have two points with the same attributes.
type pointKey struct {
	level, option string
	errorType     string
	entry         string // of socket.getsockopt.calls alone
	overflow      bool   // the other fields are empty
}

func (k pointKey) compare(other pointKey) int {
	if k.overflow != other.overflow {
		if k.overflow {
			return 1
		}
		return -1
	}
	return cmp.Or(
		cmp.Compare(k.level, other.level),
		cmp.Compare(k.option, other.option),
		cmp.Compare(k.errorType, other.errorType),
		cmp.Compare(k.entry, other.entry),
	)
}

// folded is the points of one resource, added up from its series.
type folded struct {
	id        string
	resource  *workload.Resource
	calls     map[pointKey]uint64
	durations map[pointKey]*duration
	errors    map[pointKey]uint64
}

func newFolded(id string, resource *workload.Resource) *folded {
	return &folded{
		id:        id,
		resource:  resource,
		calls:     make(map[pointKey]uint64),
		durations: make(map[pointKey]*duration),
		errors:    make(map[pointKey]uint64),
	}
}

// add adds a series. A pending error is not an error of its calls, which succeeded.
func (f *folded) add(s *record.Series, names *sockopt.Names, exemplars byBucket) {
	count := total(s.Buckets)
	if count == 0 {
		return // of a slot that was just taken
	}
	var key pointKey
	errorKey := pointKey{overflow: s.Overflow}
	if s.Overflow {
		key.overflow = true
	} else {
		// Only 32-bit programs call socketcall.
		compat := s.Entry == record.EntrySyscallCompat || s.Entry == record.EntrySocketcall
		name := names.Of(s.Level, s.Option, sockopt.Where{Compat: compat})
		key.level, key.option = name.Level, name.Option.Name
		if s.Pending {
			errorKey.errorType = sockopt.ErrorType(int32(s.Error))
		} else if s.Error != 0 {
			key.errorType = sockopt.ErrorType(int32(s.Error))
		}
	}
	if s.Pending {
		f.errors[errorKey] += count
	}
	d, found := f.durations[key]
	if !found {
		d = new(duration)
		f.durations[key] = d
	}
	d.add(s, count)
	if !s.Overflow {
		d.addExemplars(exemplars)
	}
	if !s.Overflow {
		key.entry = s.Entry.String()
	}
	f.calls[key] += count
}

// duration is the sum of the histograms of one point.
type duration struct {
	count   uint64
	sum     uint64 // ns
	buckets []uint64
	copied  bool // buckets do not alias those of a series

	exemplars byBucket
}

// addExemplars keeps the newest of each bucket.
func (d *duration) addExemplars(more byBucket) {
	if d.exemplars == nil {
		d.exemplars = more
		return
	}
	for bucket, x := range more {
		if x.At >= d.exemplars[bucket].At {
			d.exemplars[bucket] = x
		}
	}
}

func (d *duration) add(s *record.Series, count uint64) {
	d.count += count
	d.sum += s.Sum
	if d.buckets == nil { // most points have one series, and need no copy
		d.buckets = s.Buckets
		return
	}
	if !d.copied || len(d.buckets) < len(s.Buckets) {
		grown := make([]uint64, max(len(d.buckets), len(s.Buckets)))
		copy(grown, d.buckets)
		d.buckets, d.copied = grown, true
	}
	for i, n := range s.Buckets {
		d.buckets[i] += n
	}
}

func total(buckets []uint64) (sum uint64) {
	for _, n := range buckets {
		sum += n
	}
	return sum
}

// sorted returns the keys of a map of points in their order.
func sorted[V any](points map[pointKey]V) []pointKey {
	keys := make([]pointKey, 0, len(points))
	for k := range points {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, pointKey.compare)
	return keys
}
