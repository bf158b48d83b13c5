// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/publisher"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// firstContextsVersion is above 1, with which the programs begin, and 0, which is none.
const firstContextsVersion = 2

// contextAttachments returns the events of processes that may publish something: when one
// ends, when user space must look at it, and what it inherits. The first is necessary.
func (h hook) contextAttachments(o *Options) []attachment {
	attachments := []attachment{
		{program: bpf.GetsockoptProgContextExit, attach: attachTracing},
		{program: bpf.GetsockoptProgContextExec, attach: attachTracing},
	}
	if o.Spans && o.Parents {
		attachments = append(attachments, attachment{program: bpf.GetsockoptProgContextFork, attach: attachTracing})
	}
	if h.prctl.program != "" {
		attachments = append(attachments, h.prctl)
	}
	return attachments
}

// addContexts loads and attaches the programs that notice what programs publish, with the
// maps of the hook in use. Without one of them a publisher is found later, at its first span
// or when it is looked at again.
func (p *Probe) addContexts(l *loader) error {
	if !l.options.processContexts() {
		return nil
	}
	attachments := p.hook.contextAttachments(l.options)
	loaded, err := l.programs("contexts", append([]attachment{{program: bpf.GetsockoptProgContextProcesses}}, attachments...), p.collection.Maps)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contexts = loaded
	var errs []error
	for i, a := range attachments {
		closer, err := a.attach(loaded[a.program], a.target)
		if err != nil {
			err = fmt.Errorf("attach %s: %w", a.program, err)
			if i == 0 { // what processes have in the maps would stay
				return err
			}
			errs = append(errs, err)
			continue
		}
		p.attached = append(p.attached, closer)
		p.removesPublishers = true
		p.observesContexts = p.observesContexts || a.program == p.hook.prctl.program
	}
	if p.lister, err = link.AttachIter(link.IterOptions{Program: loaded[bpf.GetsockoptProgContextProcesses]}); err != nil {
		errs = append(errs, fmt.Errorf("attach the iterator over processes: %w", err))
	}
	return errors.Join(errs...)
}

// RemovesPublishers reports whether processes that are published are removed as they exit.
func (p *Probe) RemovesPublishers() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.removesPublishers
}

// ObservesContexts reports whether each process that publishes a context is among the
// notices.
func (p *Probe) ObservesContexts() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.observesContexts
}

// Processes returns the processes of the host. It returns none if the kernel cannot list
// them.
func (p *Probe) Processes() ([]record.ProcessKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lister == nil {
		return nil, nil
	}
	list, err := p.lister.Open()
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	defer list.Close()
	b, err := io.ReadAll(list)
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	var keys []record.ProcessKey
	var k bpf.GetsockoptProcessKey
	for size := int(unsafe.Sizeof(k)); len(b) >= size; b = b[size:] {
		key := record.ProcessKey{
			Start:  binary.NativeEndian.Uint64(b[unsafe.Offsetof(k.Start):]),
			PID:    binary.NativeEndian.Uint32(b[unsafe.Offsetof(k.Pid):]),
			ExecID: binary.NativeEndian.Uint32(b[unsafe.Offsetof(k.ExecId):]),
		}
		p.clocks.key(&key)
		keys = append(keys, key)
	}
	return keys, nil
}

// Noticed receives once there are notices, and for ever after Close. It is nil if there will
// be none.
func (p *Probe) Noticed() <-chan struct{} { return p.noticed.wakeups() }

// Notices returns the processes that may have become publishers since the last call. After
// Close it returns an error that wraps os.ErrClosed.
func (p *Probe) Notices() ([]record.ProcessKey, error) {
	// First: a notice that comes from here on wakes again.
	if err := p.noticed.drain(); err != nil {
		return nil, fmt.Errorf("read the notices of processes: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("read the notices of processes: %w", os.ErrClosed)
	}
	notices := p.collection.Maps[bpf.GetsockoptMapNotices]
	if p.noticedPIDs == nil {
		p.noticedPIDs, p.noticedKeys = make([]uint32, notices.MaxEntries()), make([]bpf.GetsockoptProcessKey, notices.MaxEntries())
	}
	// Both at once, before the processes are looked at: a later notice is a new one.
	n, err := notices.BatchLookupAndDelete(new(ebpf.MapBatchCursor), p.noticedPIDs, p.noticedKeys, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) { // the end
		return nil, fmt.Errorf("take the notices of processes: %w", err)
	}
	taken := make([]record.ProcessKey, n)
	for i, k := range p.noticedKeys[:n] {
		taken[i] = record.ProcessKey{Start: k.Start, PID: k.Pid, ExecID: k.ExecId}
		p.clocks.key(&taken[i])
	}
	return taken, nil
}

// Publish makes the BPF programs read the active span of a process, unless its owner has its
// share of the publishers. It has no effect on a process image that has ended.
func (p *Probe) Publish(of publisher.Process, owner string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("add process %d to the publishers: %w", of.Key.PID, os.ErrClosed)
	}
	value := bpf.GetsockoptPublisher{Start: of.Key.Start - p.clocks.boottime, ExecId: of.Key.ExecID}
	if of.Go != (publisher.Process{}).Go {
		value.Sources |= 1 << record.SourceGoLabels
		value.GoProcid, value.GoCurg, value.GoLabels = of.Go.ProcID, of.Go.CurG, of.Go.Labels
	}
	if v := of.Variable; v.Access != 0 {
		value.Sources |= 1 << record.SourceThreadContext
		value.Tls, value.Variable = uint8(v.Access), v.At
		value.DtvEntry, value.DtvAt = dynamicThreadVector(v.Musl)
	}
	known, found, err := p.tables.publishers.lookup(of.Key.PID)
	value.Owner = known.Owner // which it may have inherited
	if found && value == known {
		return nil
	}
	value.Owner = p.tables.owner(owner)
	if err == nil {
		err = p.tables.publishers.put(of.Key.PID, &value)
	}
	if err != nil {
		return fmt.Errorf("add process %d to the publishers: %w", of.Key.PID, err)
	}
	return p.changeContexts()
}

// Forget removes a process image that was published, or whose context is awaited.
func (p *Probe) Forget(key record.ProcessKey) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	known, found, err := p.tables.publishers.lookup(key.PID)
	if found && known.Start == key.Start-p.clocks.boottime && known.ExecId == key.ExecID {
		err = p.tables.publishers.delete(key.PID)
	}
	if err != nil {
		return fmt.Errorf("remove process %d from the publishers: %w", key.PID, err)
	}
	awaited, found, err := p.tables.awaited.lookup(key.PID)
	if found && awaited.Start == key.Start-p.clocks.boottime && awaited.ExecId == key.ExecID {
		err = p.tables.awaited.delete(key.PID)
	}
	if err != nil {
		return fmt.Errorf("remove the context of process %d: %w", key.PID, err)
	}
	return nil
}

// dynamicThreadVector returns the size of an entry, and where the thread pointer has the
// address of the vector: tcbhead_t of glibc, struct pthread of musl.
func dynamicThreadVector(musl bool) (entry uint8, at int8) {
	switch {
	case runtime.GOARCH == "amd64" && musl:
		return 8, 8
	case runtime.GOARCH == "amd64":
		return 16, 8
	case musl:
		return 8, -8
	}
	return 16, 0
}

// changeContexts makes all threads look for their process among the publishers again.
func (p *Probe) changeContexts() error {
	p.contextsVersion = max(p.contextsVersion+1, firstContextsVersion)
	if err := p.collection.Variables[bpf.GetsockoptVarContextsVersion].Set(p.contextsVersion); err != nil {
		return fmt.Errorf("set the version of the publishers: %w", err)
	}
	return nil
}
