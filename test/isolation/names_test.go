// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A program whose first call has no span, and that overwrites its environment before the
// first one that has, is one service in spans and in metrics.
func TestOneNameInSpansAndMetrics(t *testing.T) {
	const unsupported = "9999"
	other := unit(t, "other")
	h := watch(t, onlyLoad, "spans: {sampling_ratio: 0}")
	services := map[string]int{}
	for _, how := range []int{0, 1} {
		service := fmt.Sprintf("overwritten-%d", how)
		p := other.start(t, service, "overwritten", unsupported, strconv.Itoa(how))
		p.answer(t)
		p.ask(t, "call")
		h.awaitCalls(t, service, 2)
		services[service] = 1
	}
	h.end(t)
	spans := map[string]int{}
	for _, s := range h.spans {
		spans[s.service]++
	}
	assert.Equal(t, services, spans)
}
