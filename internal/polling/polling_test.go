// SPDX-License-Identifier: Apache-2.0

package polling

import (
	"testing"
	"time"
)

func TestUntilIsTheSameTimeForAll(t *testing.T) {
	const period = 500 * time.Millisecond
	whole := time.Unix(1_700_000_000, 0)
	for since, want := range map[time.Duration]time.Duration{
		0:                           period,
		1:                           period - 1,
		period - 1:                  1,
		period:                      period,
		2*period + time.Millisecond: period - time.Millisecond,
		time.Hour + 3*period/2:      period / 2,
		-time.Nanosecond:            1,
	} {
		if got := Until(whole.Add(since), period); got != want {
			t.Errorf("%v after a whole second: %v, want %v", since, got, want)
		}
	}
}
