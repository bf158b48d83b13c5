// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
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
	n, err := p.readWaiting(limit, h)
	if err != nil || n == limit || !time.Now().Before(deadline) {
		return n, err
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for {
		last := false
		select {
		case <-p.events.woken:
		case <-timer.C:
			last = true
		}
		more, err := p.readWaiting(limit-n, h)
		if n += more; err != nil || n == limit || last {
			return n, err
		}
	}
}

// readWaiting passes up to limit of the records that are in the ring buffer.
func (p *Probe) readWaiting(limit int, h Handler) (int, error) {
	var raw []byte
	var call record.Call
	process := new(record.Process)
	defer p.ringUses.subtract()
	for n := range limit {
		if found, err := p.events.next(&raw); err != nil {
			return n, fmt.Errorf("read the ring buffer: %w", err)
		} else if !found {
			return n, nil
		}
		p.ringUses.add(raw)
		isCall, err := record.Decode(raw, &call, process)
		switch {
		case err != nil:
			h.Malformed(err)
		case isCall:
			p.clocks.call(&call)
			h.Call(&call)
		default:
			p.clocks.key(&process.Key)
			h.Process(process)
			process = new(record.Process) // the handler may keep that one
		}
	}
	return limit, nil
}

// Sleep waits until a record is sent, stop is closed or ctx is done, or Close is called. It
// returns at once if the ring buffer is not empty. It is for the goroutine that calls Read.
func (p *Probe) Sleep(ctx context.Context, stop <-chan struct{}) {
	if !p.fallAsleep() {
		return
	}
	select {
	case <-p.events.woken:
	case <-stop:
	case <-ctx.Done():
	}
	p.sleeper.set(false)
}

// fallAsleep makes the next record wake the reader, unless there is one. The order counts: see
// wakeup of bpf/ring.h.
func (p *Probe) fallAsleep() bool {
	if !p.sleeper.set(true) {
		return false
	}
	if p.events.bytes() == 0 {
		return true
	}
	p.sleeper.set(false)
	return false
}

// sleeper is what programs read to learn that the reader sleeps. It has a lock of its own:
// until it is set to false, every record wakes the reader, and Probe.mu may be held for long.
type sleeper struct {
	mu     sync.Mutex
	sleeps *uint32 // nil once it is not mapped any more
}

// set reports whether programs can still see it.
func (s *sleeper) set(sleeps bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sleeps == nil {
		return false
	}
	var value uint32
	if sleeps {
		value = 1
	}
	atomic.StoreUint32(s.sleeps, value)
	return true
}

func (s *sleeper) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sleeps = nil
}
