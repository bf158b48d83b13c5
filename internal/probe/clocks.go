// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// clocks is the offsets of the receiver's time namespace (5.6), in nanoseconds, to the
// clocks that the programs read; 0 in the initial namespace. With them every time that
// the probe returns is what this process would have read itself, from clock_gettime(2) as
// from /proc. A time before a clock's zero wraps around, as in /proc.
type clocks struct{ monotonic, boottime uint64 }

// readClocks reads the offsets that the programs stored during the self-test. Unlike a
// difference of two readings they are exact, as comparing with /proc needs, and unlike
// /proc/self/timens_offsets they need no /proc.
func (p *Probe) readClocks() error {
	var offsets bpf.GetsockoptClockOffsets
	if err := p.collection.Variables[bpf.GetsockoptVarClockOffsets].Get(&offsets); err != nil {
		return fmt.Errorf("read the offsets of the time namespace: %w", err)
	}
	p.clocks = clocks{monotonic: uint64(offsets.Monotonic), boottime: uint64(offsets.Boottime)}
	return nil
}

func (c *clocks) call(to *record.Call) {
	to.Start += c.monotonic
	c.key(&to.Process)
}

// key does not change the key of no process.
func (c *clocks) key(to *record.ProcessKey) {
	if to.PID != 0 {
		to.Start += c.boottime
	}
}
