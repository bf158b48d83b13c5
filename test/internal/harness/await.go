// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"time"
)

// pause is how long to wait before asking again.
const pause = 20 * time.Millisecond

// Await waits until check returns nil, and returns its last error when the limit has
// passed. Check is called at least once.
func Await(limit time.Duration, check func() error) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(pause) {
		err := check()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %w", limit, err)
		}
	}
}
