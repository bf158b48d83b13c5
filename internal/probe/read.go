// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// Handler receives the records of the ring buffer in their order, from the goroutine that
// calls [Probe.Read].
type Handler interface {
	// Call receives a call. The argument and its slices are valid until Call returns.
	Call(*record.Call)
	// Process receives the description of a process, which it may keep. It precedes the
	// calls of the process, unless it was lost.
	Process(*record.Process)
	// Malformed receives the error of a record that was skipped. It wraps
	// record.ErrMalformed.
	Malformed(error)
}

// Read passes up to limit records to h, and returns their number. It waits for records
// until the deadline, and passes those that are in the ring buffer then; fewer than limit
// is no error. After Close it returns an error that wraps os.ErrClosed, also if it was
// waiting.
func (p *Probe) Read(deadline time.Time, limit int, h Handler) (int, error) {
	var raw []byte
	var call record.Call
	for n := range limit {
		if err := p.reader.next(&raw, deadline); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return n, nil
			}
			return n, fmt.Errorf("read the ring buffer: %w", err)
		}
		p.ringUses.subtract(raw)
		var process record.Process
		isCall, err := record.Decode(raw, &call, &process)
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
