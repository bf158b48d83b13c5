// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/pdatautil"
	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver/internal/metadata"
)

// Spans and metrics have the scope that the receiver's own telemetry has.
func TestScopeIsThatOfTheMetadata(t *testing.T) {
	if pdatautil.ScopeName != metadata.ScopeName {
		t.Errorf("%s, want %s", pdatautil.ScopeName, metadata.ScopeName)
	}
}
