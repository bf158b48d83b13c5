// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/test/resilience/rig"
)

const onlyLoad = "select: {executables: [isolation-load]}"

// Thousands of services, one after the other as fast as it goes: each call is sent once,
// with a name or in an overflow point, and later services have their names.
func TestServicesComeAndGo(t *testing.T) {
	churn, other := unit(t, "churn"), unit(t, "other")
	h := watch(t, "metric_expiration: 5s", onlyLoad)
	overwritten := other.start(t, "overwritten", "overwritten", fmt.Sprint(unix.SO_TYPE), "0")
	overwritten.answer(t)

	made := churn.run(t, "parent", "services", "job", "0", "3000", "4")
	later := churn.run(t, "later", "call", "4")
	h.awaitCalls(t, "later", later)

	// In points of its own although its cgroup has churned before it and is full of names.
	made += churn.run(t, "parent", "services", "invented", "0", "2000", "2")
	h.shopsConnect(t, "beside-invented", other)
	h.collections(t, 1)
	h.mu.Lock()
	spans := h.spansOf(func(s span) bool { return s.service == "beside-invented" && s.errorType == "ECONNREFUSED" })
	h.mu.Unlock()
	require.Len(t, spans, 3)

	// It lives through the expiry of its points, and has its name only from its first call.
	h.eventually(t, func() error {
		if a := h.accounts[len(h.accounts)-1]; a["series"] != 0 {
			return fmt.Errorf("series do not expire: %v", a)
		}
		return nil
	})
	overwritten.ask(t, "call")
	h.awaitCalls(t, "overwritten", 2)
	h.end(t)
	named := h.calls(func(p *point) bool { return p.service != "" })
	total := h.calls(all)
	t.Logf("%d of %d calls have a name", named, total)
	if want := made + later + 3 + 2; total != want {
		t.Errorf("%d calls were sent, %d made", total, want)
	}
}

// Beside cgroups that start services as fast as they can, services that live have their names:
// in the same cgroups as in others.
func TestLivingServicesBesideShortLivedOnes(t *testing.T) {
	noisy := []place{unit(t, "noisy"), unit(t, "noisy-too"), container(t, 1)}
	h := watch(t, onlyLoad)
	var floods, late []program
	for i, in := range noisy {
		floods = append(floods, in.start(t, "parent", "services", fmt.Sprintf("flood-%d", i), "0", "0", "4"))
	}
	h.collections(t, 3)
	for i, in := range append(noisy, unit(t, "quiet"), container(t, 2)) {
		p := in.start(t, fmt.Sprintf("late-%d", i), "overwritten", fmt.Sprint(unix.SO_TYPE), "0")
		p.answer(t)
		late = append(late, p)
	}
	h.collections(t, 2)
	for _, p := range late {
		p.ask(t, "call")
	}
	for i := range late {
		h.awaitCalls(t, fmt.Sprintf("late-%d", i), 2)
	}
	endFloods(floods)
}

// A duration's point has several series of the kernel, which become silent one after the
// other. It lives until the last one does.
func TestPointOfSeveralSeries(t *testing.T) {
	for _, groupBy := range []string{"[service]", "[process]"} {
		t.Run(groupBy, func(t *testing.T) {
			h := watch(t, "metric_expiration: 2s", onlyLoad, "group_by: "+groupBy)
			p := container(t, 3).start(t, "both", "uring-first", "10")
			made := p.answer(t)
			ofEntry := func(p *point) bool { return p.metric == callsMetric && p.at == h.last }
			for gone := false; !gone; made++ {
				p.ask(t, "call")
				h.collections(t, 1)
				h.mu.Lock()
				n := 0
				for _, p := range h.points {
					if ofEntry(p) {
						n++
					}
				}
				// The series of io_uring had its own point, and has expired.
				gone = len(h.sums) > 3 && n == 1
				h.mu.Unlock()
			}
			p.end(t)
			h.end(t)
			require.Equal(t, made, h.calls(all))
			for _, p := range h.points {
				if p.metric == durationMetric && (p.total() != made || p.starts != 1) {
					t.Errorf("the point of the durations has %d calls of %d, and %d starts", p.total(), made, p.starts)
				}
			}
		})
	}
}

// Containers and units come and go, in each grouping, beside floods. All that is sent is
// right at each collection.
func TestCgroupsComeAndGo(t *testing.T) {
	for _, groupBy := range []string{"[container]", "[systemd_unit, container]", "[process]", "[]"} {
		t.Run(groupBy, func(t *testing.T) {
			noisy := unit(t, "noisy")
			h := watch(t, "metric_expiration: 2s", onlyLoad, "hook: raw_tracepoint", "group_by: "+groupBy)
			noisy.start(t, "ways", "invent", "0")
			noisy.waysToFail(t, "ways")
			var made uint64
			for i := range 40 {
				made += container(t, 100+i).run(t, fmt.Sprintf("pod-%d", i), "call", "3")
				made += unit(t, fmt.Sprint(i)).run(t, fmt.Sprintf("unit-%d", i), "call", "3")
			}
			h.collections(t, 3)
			if groupBy == "[container]" {
				h.eventually(t, func() error {
					if n := h.calls(func(p *point) bool { return p.container != "" }); n != made/2 {
						return fmt.Errorf("%d calls of containers, want %d", n, made/2)
					}
					return nil
				})
			}
			h.end(t)
		})
	}
}

var whole = flag.Bool("whole", false, "50,000 processes and three rounds at full speed, which take minutes")

// Processes that live for two collections each, each with points of its own, leave nothing
// in the Collector's memory.
func TestProcessesLeaveNothing(t *testing.T) {
	warm, more := 1500, 1500
	if *whole {
		warm, more = 20_000, 30_000
	}
	h := watch(t, onlyLoad, "group_by: process")
	p := unit(t, "processes").start(t, "many", "processes", "500", "700")
	p.ask(t, fmt.Sprint(warm))
	p.answer(t)
	before := h.memory(t)
	p.ask(t, fmt.Sprint(more))
	made := p.answer(t)
	after := h.memory(t)
	p.end(t)
	h.end(t)
	require.Equal(t, made, h.calls(all))
	named := h.calls(func(p *point) bool { return p.pid != "" && !p.overflow })
	t.Logf("%d KiB after %d processes, %d KiB after %d; %d of %d calls in points of their own", before>>10, warm, after>>10, warm+more, named, made)
	const most = 4 << 20
	if after > before+most {
		t.Errorf("memory has grown from %d KiB to %d KiB", before>>10, after>>10)
	}
}

// memory returns what the Collector occupies after a collection of garbage.
func (h *host) memory(t *testing.T) int64 {
	t.Helper()
	least := int64(0)
	for range 5 {
		answer, err := http.Get("http://" + h.pprof + "/debug/pprof/heap?gc=1")
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		h.collections(t, 1)
		resident, err := rig.Resident(h.collector.PID())
		require.NoError(t, err)
		if least == 0 || resident < least {
			least = resident
		}
	}
	http.DefaultClient.CloseIdleConnections()
	return least
}
