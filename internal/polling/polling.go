// SPDX-License-Identifier: Apache-2.0

package polling

import "time"

// Until returns the time from now to the next multiple of a period of the wall clock: more
// than 0, at most the period, which is positive. All who ask get the same time.
func Until(now time.Time, period time.Duration) time.Duration {
	return period - time.Duration(now.UnixNano())%period
}
