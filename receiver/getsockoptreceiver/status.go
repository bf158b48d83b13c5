// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
)

// The conditions under which the receiver is degraded. Their order is the order of the
// reasons in an event.
const (
	conditionSource  = "0 source"  // the source does not observe all calls
	conditionRing    = "1 ring"    // the ring buffer cannot be read
	conditionMaps    = "2 maps"    // series and counters cannot be read
	conditionLoss    = "3 loss"    // calls were lost since the last collection
	conditionTraces  = "4 traces"  // the next consumer of spans refuses
	conditionMetrics = "5 metrics" // the next consumer of metrics refuses
)

// status reports the component's status through the host of every signal: OK, or a
// recoverable error with all reasons. It reports changes only. It is safe for concurrent
// use.
type status struct {
	mu         sync.Mutex
	hosts      []component.Host
	conditions map[string]error
	reported   string
	stopped    bool
}

func newStatus() *status { return &status{conditions: map[string]error{}} }

// addHost adds a host to report to, and reports the current status to it.
func (s *status) addHost(host component.Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = append(s.hosts, host)
	componentstatus.ReportStatus(host, s.event())
}

// set sets the reason of a condition; nil ends the condition.
func (s *status) set(condition string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.conditions, condition)
	} else {
		s.conditions[condition] = err
	}
	event := s.event()
	text := ""
	if event.Err() != nil {
		text = event.Err().Error()
	}
	if s.stopped || text == s.reported {
		return
	}
	s.reported = text
	for _, host := range s.hosts {
		componentstatus.ReportStatus(host, event)
	}
}

// stop ends the reporting: the Collector itself reports that a component stops.
func (s *status) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
}

func (s *status) event() *componentstatus.Event {
	var reasons []error
	for _, condition := range slices.Sorted(maps.Keys(s.conditions)) {
		reasons = append(reasons, s.conditions[condition])
	}
	if len(reasons) == 0 {
		return componentstatus.NewEvent(componentstatus.StatusOK)
	}
	return componentstatus.NewRecoverableErrorEvent(errors.Join(reasons...))
}
