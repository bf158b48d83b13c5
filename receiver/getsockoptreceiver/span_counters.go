// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"sync/atomic"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// lossReason is why a call whose record was written to the ring buffer has no span. Its text
// is the attribute reason.
type lossReason int

// The reasons in user space.
const (
	lostMalformed         lossReason = iota // the record could not be decoded
	lostConsumerRefused                     // refused until retryLimit
	lostConsumerPermanent                   // refused permanently
	lostShutdown                            // not sent when the shutdown deadline expired
	lossReasons
)

func (r lossReason) String() string {
	return [lossReasons]string{"malformed", "consumer_refused", "consumer_permanent", "shutdown"}[r]
}

// spanCounters count the results of the records that were read. They only grow, and are safe
// for concurrent use.
type spanCounters struct {
	emitted   atomic.Uint64
	malformed atomic.Uint64 // records, of calls or of processes
	lost      [lossReasons]atomic.Uint64
	parents   [record.Sources]atomic.Uint64 // spans, by the source of their parent
}

// counts is one reading of spanCounters.
type counts struct {
	emitted   uint64
	malformed uint64
	lost      [lossReasons]uint64
	parents   [record.Sources]uint64
}

func (t *spanCounters) read() counts {
	c := counts{emitted: t.emitted.Load(), malformed: t.malformed.Load()}
	for r := range c.lost {
		c.lost[r] = t.lost[r].Load()
	}
	for s := range c.parents {
		c.parents[s] = t.parents[s].Load()
	}
	return c
}
