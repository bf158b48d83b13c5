// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

// heldTraces prevents that batches are recycled while they may be offered again: with the
// feature gate pdata.useProtoPooling a pipeline frees the memory of a batch when its
// consumer returns, also if it refused the batch.
type heldTraces []ptrace.Traces

func (h *heldTraces) hold(batch ptrace.Traces) {
	pref.RefTraces(batch)
	*h = append(*h, batch)
}

// release permits recycling the batches, after the last attempt.
func (h *heldTraces) release() {
	for _, batch := range *h {
		pref.UnrefTraces(batch)
	}
}

// holdMetrics does the same for one batch of metrics, until release is called.
func holdMetrics(batch pmetric.Metrics) (release func()) {
	pref.RefMetrics(batch)
	return func() { pref.UnrefMetrics(batch) }
}
