// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const withPeers = "metrics: {socket.errors: {attributes: [error.type, network.peer.address, network.peer.port]}}"

// refusals are what was sent of the errors of a service, by peer. That of overflow is empty.
func (h *host) refusals(service string) map[string]uint64 {
	by := map[string]uint64{}
	for _, p := range h.points {
		if p.metric == errorsMetric && p.service == service {
			by[p.peer] += p.total()
		}
	}
	return by
}

// Who is refused by whom: of each of two programs every peer with its number, while a third
// invents ten thousand of them. All of its errors are counted, in its own points.
func TestPeersOfErrors(t *testing.T) {
	const each, invented = 3, 10_000
	noisy, other := unit(t, "noisy"), unit(t, "other")
	h := watch(t, onlyLoad, withPeers)
	crowd := noisy.start(t, "inventor", "invent-peers", strconv.Itoa(invented))
	peers := map[string]bool{}
	for _, service := range []string{"first", "second"} {
		other.run(t, service, "refused-by-six", strconv.Itoa(each))
		h.eventually(t, func() error {
			by := h.refusals(service)
			for peer, n := range by {
				if n != each {
					return fmt.Errorf("%s was refused %d times by %q, want %d", service, n, peer, each)
				}
			}
			if len(by) != 6 {
				return fmt.Errorf("%s was refused by %v, want six peers", service, by)
			}
			return nil
		})
		h.mu.Lock()
		for peer := range h.refusals(service) {
			address, _, _ := strings.Cut(peer, " ")
			peers[address] = true
		}
		h.mu.Unlock()
	}
	assert.Equal(t, map[string]bool{"127.0.0.1": true, "::1": true}, peers)
	crowd.end(t)
	h.shopsConnect(t, "in-the-crowd", noisy)
	h.end(t)

	var sum uint64
	for _, n := range h.refusals("inventor") {
		sum += n
	}
	require.EqualValues(t, invented, sum)
	assert.Equal(t, h.calls(func(p *point) bool { return p.service == "inventor" }), sum)
	assert.LessOrEqual(t, h.current(errorsMetric, func(p *point) bool { return !p.overflow }), 2000)
}
