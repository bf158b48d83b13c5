// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

func TestMain(m *testing.M) {
	caller.Main()
	goleak.VerifyTestMain(m)
}
