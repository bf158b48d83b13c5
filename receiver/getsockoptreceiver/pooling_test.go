// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

// TestRefusedBatchesAreNotRecycled: a pipeline with pooled batches frees the memory of a
// batch that it refuses. The next offer has the same content.
func TestRefusedBatchesAreNotRecycled(t *testing.T) {
	const gate = "pdata.useProtoPooling"
	require.NoError(t, featuregate.GlobalRegistry().Set(gate, true))
	defer func() { require.NoError(t, featuregate.GlobalRegistry().Set(gate, false)) }()
	next := &pooled{}
	r := newRig(t, next, next)
	r.config.CollectionInterval = time.Hour // the last collection alone is offered again
	r.start(t)
	r.source.call(7, 3, 1)
	r.shutdown(t)
	for what, offers := range map[string][][]byte{"spans": next.traces, "metrics": next.metrics} {
		t.Run(what, func(t *testing.T) {
			require.Len(t, offers, refusals+1)
			require.NotEmpty(t, offers[0])
			for _, offer := range offers[1:] {
				assert.Equal(t, offers[0], offer)
			}
		})
	}
	r.expectSum(t, "emitted", 1)
}

const refusals = 3

// pooled is the start of a pipeline that refuses a few times. As the Collector does before
// each consumer, it takes a reference to a batch and drops it; then the memory is reused.
type pooled struct {
	sink
	traces, metrics [][]byte // as they were offered
}

func (p *pooled) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	offer, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	p.traces = append(p.traces, offer)
	if pref.MarkPipelineOwnedTraces(td) {
		pref.UnrefTraces(td)
	}
	ptrace.NewTraces().ResourceSpans().AppendEmpty().SetSchemaUrl("other")
	return errors.Join(err, refused(p.traces))
}

func (p *pooled) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	offer, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	p.metrics = append(p.metrics, offer)
	if pref.MarkPipelineOwnedMetrics(md) {
		pref.UnrefMetrics(md)
	}
	pmetric.NewMetrics().ResourceMetrics().AppendEmpty().SetSchemaUrl("other")
	return errors.Join(err, refused(p.metrics))
}

func refused(offers [][]byte) error {
	if len(offers) <= refusals {
		return errFull
	}
	return nil
}
