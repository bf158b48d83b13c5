// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// totals adds to a probe what it cannot do yet.
type totals struct{ *probe.Probe }

func (totals) Remove([]record.SeriesKey, []uint32) error { return nil }
