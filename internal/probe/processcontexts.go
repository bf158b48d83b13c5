// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// processContexts is the use of process contexts. Without spans they matter as far as they
// name what calls are grouped by.
func (o *Options) processContexts() bool {
	return o.Spans || o.GroupBy&(GroupByService|GroupByContainer|GroupByProcess) != 0
}

// ContextPublished receives once there are process contexts to read, and for ever after Close.
// It is nil if they are off.
func (p *Probe) ContextPublished() <-chan struct{} { return p.publishedContexts.wakeups() }

// ReadProcessContext returns the next process context, if there is one. After Close it returns
// an error that wraps os.ErrClosed. It is for one goroutine at a time.
func (p *Probe) ReadProcessContext() (c record.ProcessContext, found bool, err error) {
	for {
		var raw []byte
		found, err := p.publishedContexts.next(&raw)
		if err != nil {
			return record.ProcessContext{}, false, fmt.Errorf("read the process contexts: %w", err)
		}
		if !found {
			return record.ProcessContext{}, false, nil
		}
		c, err := record.DecodeProcessContext(raw)
		if err != nil {
			return c, false, err
		}
		p.dischargeContext(c.Owner)
		if c.Unread { // it was counted when it was tried
			continue
		}
		p.clocks.key(&c.Process)
		return c, true, nil
	}
}

// dischargeContext gives the space of a context back to its owner.
func (p *Probe) dischargeContext(owner uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.tables.contexts.discharge(owner)
	}
}

// NameProcess gives a running process image names, which its service has from its next call
// after [Probe.ApplyNames] on. It has no effect on a process that has ended.
func (p *Probe) NameProcess(key record.ProcessKey, names record.PublishedNames) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("name process %d: %w", key.PID, os.ErrClosed)
	}
	before, found, err := p.tables.names.lookup(key.PID)
	if err != nil {
		return fmt.Errorf("name process %d: %w", key.PID, err)
	}
	if !found {
		return nil
	}
	p.namesVersion++
	value := bpf.GetsockoptPublishedNames{Start: key.Start - p.clocks.boottime, ExecId: key.ExecID, Version: p.namesVersion, Owner: before.Owner}
	for _, text := range []struct {
		to   []int8
		from string
	}{{value.Name[:], names.Name}, {value.NameSpace[:], names.Namespace}, {value.Instance[:], names.InstanceID}} {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&text.to[0])), len(text.to)-1), text.from)
	}
	err = p.tables.names.elements.Update(key.PID, &value, ebpf.UpdateExist)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("name process %d: %w", key.PID, err)
	}
	return nil
}

// ApplyNames makes all threads look for the names of their process, and for a process context
// that is to be read.
func (p *Probe) ApplyNames() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("apply the names of processes: %w", os.ErrClosed)
	}
	atomic.AddUint32(&p.places.shares.Epoch, 1)
	return nil
}

// HasNames reports whether the process with a pid still runs, of those that NameProcess named.
func (p *Probe) HasNames(pid uint32) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false, fmt.Errorf("look for the names of process %d: %w", pid, os.ErrClosed)
	}
	_, found, err := p.tables.names.lookup(pid)
	if err != nil {
		return false, fmt.Errorf("look for the names of process %d: %w", pid, err)
	}
	return found, nil
}

// AwaitProcessContext makes a process read its context, whose header is at an address, in one
// of its next calls, unless its owner has its share of those that wait.
func (p *Probe) AwaitProcessContext(key record.ProcessKey, address uint64, owner string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("ask for the context of process %d: %w", key.PID, os.ErrClosed)
	}
	value := bpf.GetsockoptAwaitedContext{
		Start: key.Start - p.clocks.boottime, At: address, ExecId: key.ExecID, Owner: p.tables.owner(owner),
	}
	if err := p.tables.awaited.put(key.PID, &value); err != nil {
		return fmt.Errorf("ask for the context of process %d: %w", key.PID, err)
	}
	return nil
}

// retryContexts makes processes look for contexts that wait for their next call. The caller
// holds Probe.mu.
func (p *Probe) retryContexts(elapsed time.Duration) {
	if p.retried += elapsed; p.retried < retryPeriod {
		return
	}
	p.retried = 0
	if atomic.LoadInt32(&p.tables.awaited.Used) > 0 {
		atomic.AddUint32(&p.places.shares.Epoch, 1)
	}
}

// openContextRings opens what wakes user space for what programs publish.
func (p *Probe) openContextRings() (err error) {
	if !p.options.processContexts() {
		return nil
	}
	if p.publishedContexts, err = openRing(p.collection.Maps[bpf.GetsockoptMapProcessContexts]); err != nil {
		return err
	}
	p.noticed, err = openRing(p.collection.Maps[bpf.GetsockoptMapNoticed])
	return err
}

// readContextCounters adds the process contexts that the BPF programs did not read.
func (p *Probe) readContextCounters(c *record.Counters) error {
	var unread bpf.GetsockoptProcessContextCounters
	if err := p.collection.Variables[bpf.GetsockoptVarProcessContextsUnread].Get(&unread); err != nil {
		return fmt.Errorf("read the counters of process contexts: %w", err)
	}
	c.ContextUnreadable, c.ContextChanging, c.ContextMalformed = unread.Unreadable, unread.Changing, unread.Malformed
	c.ContextRingFull, c.ContextNoSpace = unread.RingFull, unread.NoSpace
	return nil
}
