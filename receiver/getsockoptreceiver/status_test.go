// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// TestStatusReportsEveryReason: OK at start, an error that names every reason while something is
// wrong, OK again.
func TestStatusReportsEveryReason(t *testing.T) {
	next := &sink{}
	r := newRig(t, next, next)
	r.start(t)
	r.tracesHost.await(t, componentstatus.StatusOK, "")
	r.metricsHost.await(t, componentstatus.StatusOK, "")

	r.source.setDegraded(errors.New("no 32-bit calls"))
	r.tracesHost.await(t, componentstatus.StatusRecoverableError, "no 32-bit calls")
	r.metricsHost.await(t, componentstatus.StatusRecoverableError, "no 32-bit calls")
	r.source.count(func(c *record.Counters) { c.Seen++; c.RingFull++ })
	r.source.setDegraded()
	r.tracesHost.await(t, componentstatus.StatusOK, "")
	r.shutdown(t)

	var texts []string
	for _, e := range r.tracesHost.events {
		texts = append(texts, fmt.Sprint(e.Status(), " ", e.Err()))
	}
	assert.Equal(t, slices.Compact(slices.Clone(texts)), texts, "no event without news")
	assert.True(t, slices.ContainsFunc(texts, func(text string) bool {
		return strings.Contains(text, "calls were lost: ring_full")
	}), "%q", texts)
}

// TestStatusReasonsAreOrdered: reasons come in a fixed order, so that the same conditions
// are the same status.
func TestStatusReasonsAreOrdered(t *testing.T) {
	host := newStatusHost()
	s := newStatus()
	s.addHost(host)
	s.set(conditionMetrics, errors.New("c"))
	s.set(conditionLoss, errors.New("b"))
	s.set(conditionSource, errors.New("a"))
	require.EqualError(t, host.last().Err(), "a\nb\nc")
	s.set(conditionSource, errors.New("a"))
	require.Len(t, host.events, 4)

	late := newStatusHost()
	s.addHost(late)
	require.EqualError(t, late.last().Err(), "a\nb\nc")

	s.stop()
	s.set(conditionSource, nil)
	require.Len(t, host.events, 4)
}
