// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/getsockopt/getsockoptreceiver/internal/histogram"

// value is the cumulative value of a point. Copies share the buckets, so they are not
// changed in place once the value was copied.
type value struct {
	count   uint64
	sum     uint64 // of durations, ns
	first   int    // the bucket that buckets begin with
	buckets []uint64
}

// add adds calls. shared is whether a copy of the value shares its buckets, and still is.
func (v *value) add(more value, shared bool) (stillShared bool) {
	v.count += more.count
	v.sum += more.sum
	if len(more.buckets) == 0 {
		return shared
	}
	first, end := more.first, more.first+len(more.buckets)
	if len(v.buckets) > 0 {
		first, end = min(first, v.first), max(end, v.first+len(v.buckets))
	}
	if shared || end-first > len(v.buckets) {
		grown := make([]uint64, end-first)
		copy(grown[max(v.first-first, 0):], v.buckets)
		v.first, v.buckets = first, grown
	}
	for i, n := range more.buckets {
		v.buckets[more.first-v.first+i] += n
	}
	return false
}

// minus returns the calls of v that are not in an earlier value of the same point.
func (v value) minus(earlier value) value {
	rest := value{count: v.count - earlier.count, sum: v.sum - earlier.sum}
	if len(v.buckets) == 0 || rest.count == 0 {
		return rest
	}
	buckets := append([]uint64(nil), v.buckets...)
	for i, n := range earlier.buckets {
		buckets[earlier.first-v.first+i] -= n
	}
	first, used := histogram.Trim(buckets)
	rest.first, rest.buckets = v.first+first, used
	return rest
}

// at returns the calls of a bucket.
func (v value) at(bucket int) uint64 {
	if i := bucket - v.first; i >= 0 && i < len(v.buckets) {
		return v.buckets[i]
	}
	return 0
}
