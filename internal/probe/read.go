// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// Handler takes what comes out of the ring, in its order.
type Handler interface {
	// Call's argument and its slices hold only during the call.
	Call(*record.Call)
	Process(*record.Process)
	// Malformed says that a record was skipped, and why.
	Malformed(error)
}

// Read hands up to limit records to h. It waits until the deadline for more,
// and returns nil then; what is in the ring at the deadline is still handed
// out. After Close it returns an error that wraps os.ErrClosed.
func (p *Probe) Read(deadline time.Time, limit int, h Handler) (int, error) {
	var raw ringbuf.Record
	var call record.Call
	p.reader.SetDeadline(deadline)
	for n := range limit {
		if err := p.reader.ReadInto(&raw); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return n, nil
			}
			return n, fmt.Errorf("read the ring: %w", err)
		}
		var process record.Process
		isCall, err := record.Decode(raw.RawSample, &call, &process)
		switch {
		case err != nil:
			h.Malformed(err)
		case isCall:
			p.clocks.call(&call)
			h.Call(&call)
		default:
			p.clocks.key(&process.Key)
			h.Process(&process)
		}
	}
	return limit, nil
}
