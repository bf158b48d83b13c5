// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import "sync/atomic"

// lossReason is why a call that the kernel handed over, or could not, has no
// span. Its text is the attribute reason.
type lossReason int

// The reasons that arise on this side of the ring.
const (
	lostMalformed         lossReason = iota // the record could not be decoded
	lostConsumerRefused                     // refused for the whole of retryLimit
	lostConsumerPermanent                   // refused for good
	lostShutdown                            // still on its way when the time to stop was up
	lossReasons
)

func (r lossReason) String() string {
	return [lossReasons]string{"malformed", "consumer_refused", "consumer_permanent", "shutdown"}[r]
}

// tally counts what became of the records that were read. It only grows.
type spanCounters struct {
	emitted   atomic.Uint64
	malformed atomic.Uint64 // records, of calls or of processes
	lost      [lossReasons]atomic.Uint64
}

// counts is one reading of a tally.
type counts struct {
	emitted   uint64
	malformed uint64
	lost      [lossReasons]uint64
}

func (t *spanCounters) read() counts {
	c := counts{emitted: t.emitted.Load(), malformed: t.malformed.Load()}
	for r := range c.lost {
		c.lost[r] = t.lost[r].Load()
	}
	return c
}
