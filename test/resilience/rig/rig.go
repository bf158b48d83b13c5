// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Program is the built Collector.
func Program() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(here), "..", "..", "..", "dist", "otelcol-getsockopt")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: run `make build`, or `make test`, which does", err)
	}
	return filepath.Clean(path), nil
}

// Eventually waits until check returns nil, and returns its last error when the
// limit has passed. Check is asked at least once.
func Eventually(limit time.Duration, check func() error) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		err := check()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %w", limit, err)
		}
	}
}
