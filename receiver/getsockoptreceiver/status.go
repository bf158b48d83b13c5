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

// The conditions that narrow what is collected. They order the reasons in an
// event.
const (
	conditionSource  = "0 source"  // the source runs with less than it could
	conditionRing    = "1 ring"    // the ring cannot be read
	conditionMaps    = "2 maps"    // series and counters cannot be read
	conditionLoss    = "3 loss"    // calls were lost since the harvest before
	conditionTraces  = "4 traces"  // the next consumer of spans refuses
	conditionMetrics = "5 metrics" // the next consumer of metrics refuses
)

// status tells the Collector how the receiver fares, through the host of every
// signal: OK, or a recoverable error that names all that is wrong. An event
// goes out only when that changes.
type status struct {
	mu         sync.Mutex
	hosts      []component.Host
	conditions map[string]error
	reported   string
	stopped    bool
}

func newStatus() *status { return &status{conditions: map[string]error{}} }

// addHost reports to one more host, beginning with how things are.
func (s *status) addHost(host component.Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = append(s.hosts, host)
	componentstatus.ReportStatus(host, s.event())
}

// set says that a condition holds, or, with nil, that it no longer does.
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

// stop ends the reporting: the Collector reports the stopping itself.
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
