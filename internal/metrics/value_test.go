// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"
	"testing"
)

// The accepted value of a point does not change with the calls after it, in whatever order
// calls, and durations that come after their calls, are added.
func TestAcceptedValueStays(t *testing.T) {
	call := value{count: 1, sum: 10, first: 3, buckets: []uint64{1}}
	duration := value{sum: 5}
	for _, later := range [][]value{{call}, {duration, call}, {call, duration, call}, {duration, duration, call}} {
		p := &point{metric: getsockoptDuration}
		p.add(call, 1)
		p.accept(p.now, 1)
		want := uint64(0)
		for _, v := range later {
			p.add(v, 2)
			want += v.count
		}
		if !slices.Equal(p.accepted.buckets, call.buckets) {
			t.Errorf("after %v the accepted buckets are %v", later, p.accepted.buckets)
		}
		if rest := p.now.minus(p.accepted); rest.count != want || !slices.Equal(rest.buckets, []uint64{want}) {
			t.Errorf("after %v the rest is %v", later, rest)
		}
	}
}
