// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// TestSchemaURL: spans and metrics have the schema URL of the conventions that
// metadata.yaml pins.
func TestSchemaURL(t *testing.T) {
	metadata, err := confmaptest.LoadConf("metadata.yaml")
	require.NoError(t, err)
	assert.Equal(t, "https://opentelemetry.io/schemas/"+metadata.Get("sem_conv_version").(string), workload.SchemaURL)
	spans, points := &sink{}, &sink{}
	r := newRig(t, spans, points)
	r.start(t)
	r.source.call(7, 3, 1)
	r.shutdown(t)
	require.NotEmpty(t, spans.batches)
	for _, rs := range spans.batches[0].ResourceSpans().All() {
		assert.Equal(t, workload.SchemaURL, rs.SchemaUrl())
		assert.Equal(t, workload.SchemaURL, rs.ScopeSpans().At(0).SchemaUrl())
	}
	require.NotZero(t, points.last.ResourceMetrics().Len())
	for _, rm := range points.last.ResourceMetrics().All() {
		assert.Equal(t, workload.SchemaURL, rm.SchemaUrl())
		assert.Equal(t, workload.SchemaURL, rm.ScopeMetrics().At(0).SchemaUrl())
	}
}
