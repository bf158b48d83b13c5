// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

func TestSoakOfTenSeconds(t *testing.T) {
	if err := soak(10*time.Second, t.Output()); err != nil {
		t.Fatal(err)
	}
}
