// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// waysToFail starts a program that makes every option with a name fail in every way that
// it can, through every entry point.
func (p place) waysToFail(t *testing.T, service string) program {
	t.Helper()
	ways := p.start(t, service, "ways")
	for _, option := range sockopt.NamedOptions() {
		ways.ask(t, fmt.Sprintln(option.Level, option.Code))
	}
	require.NoError(t, ways.In.Close())
	return ways
}

// shopsConnect checks that a new service has its own series in each place, its error its
// name, and all of its few spans.
func (h *host) shopsConnect(t *testing.T, service string, in place) {
	t.Helper()
	const connections = 3
	in.run(t, service, "refused", fmt.Sprint(connections), "1")
	h.eventually(t, func() error {
		for _, metric := range []string{callsMetric, durationMetric, errorsMetric} {
			var sent uint64
			for _, p := range h.points {
				named := p.option == "SO_ERROR"
				if metric == errorsMetric {
					named = p.errorType == "ECONNREFUSED"
				}
				if p.metric == metric && ofService(service)(p) && named {
					sent += p.total()
				}
			}
			if sent != connections {
				return fmt.Errorf("%s of %s has %d calls, want %d", metric, service, sent, connections)
			}
		}
		return nil
	})
}

// The inventions of a program take series from no other, during and after them.
func TestInventedOptionsAndErrors(t *testing.T) {
	noisy, other := unit(t, "noisy"), unit(t, "other")
	h := watch(t)
	noisy.run(t, "inventor", "invent", "5000")
	h.shopsConnect(t, "after-inventions", other)

	noisy.start(t, "inventor", "invent", "0")
	noisy.waysToFail(t, "failing")
	h.collections(t, 3)
	for i := range 5 {
		h.shopsConnect(t, fmt.Sprintf("beside-%d", i), other)
	}
	h.shopsConnect(t, "container-beside", container(t, 1))
	h.collections(t, 3)
	h.eventually(t, func() error {
		if n := h.current(callsMetric, func(p *point) bool { return !p.overflow }); n > 2000 {
			return fmt.Errorf("%d points", n)
		}
		return nil
	})
	h.end(t)
	if n := h.calls(func(p *point) bool { return p.overflow && p.service == "" }); n > 0 {
		t.Errorf("%d calls have no name, though there are few services", n)
	}
}
