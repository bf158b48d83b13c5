// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

const (
	// sweepAfter is how many processes are added between two sweeps, at least: few, so that
	// memory does not rise and fall with the sweeps.
	sweepAfter = 512
	// keptSweeps is how many sweeps a process is kept after its last call if it has exited:
	// further calls may be in the ring buffer, behind the records of thousands of processes.
	keptSweeps = 8
	// maxProcesses bounds the cache. At about 1 KiB each it is 64 MiB on a host that runs
	// as many processes at once, and a few MiB on others.
	maxProcesses = 65536
)

// processes caches the resources of processes. The process record is sent once, before the
// first call, and a daemon may call once a day. So running processes are kept, and those
// that have exited are removed after keptSweeps without a call. It keeps one image for each
// pid, because an exec ends the image before it and the ring buffer keeps their order. It
// is not safe for concurrent use.
type processes struct {
	byPID map[uint32]*process
	sweep uint64
	fresh int // added since the last sweep
	alive func(pid uint32) bool
}

type process struct {
	key      record.ProcessKey
	resource *workload.Resource
	used     uint64 // the sweep that was current when it was last used
}

func newProcesses() *processes {
	return &processes{byPID: map[uint32]*process{}, alive: processAlive}
}

// Get returns the resource of a process, nil if it is not cached.
func (p *processes) Get(key record.ProcessKey) *workload.Resource {
	known := p.byPID[key.PID]
	if known == nil || known.key != key {
		return nil
	}
	known.used = p.sweep
	return known.resource
}

// Put adds a process.
func (p *processes) Put(key record.ProcessKey, resource *workload.Resource) {
	p.byPID[key.PID] = &process{key: key, resource: resource, used: p.sweep}
	p.fresh++
	// A sweep of many processes costs more.
	if p.fresh >= max(sweepAfter, len(p.byPID)/32) || len(p.byPID) > maxProcesses {
		p.forget()
	}
}

func (p *processes) forget() {
	full := len(p.byPID) > maxProcesses
	for pid, known := range p.byPID {
		if known.used+keptSweeps <= p.sweep && (full || !p.alive(pid)) {
			delete(p.byPID, pid)
		}
	}
	p.sweep++
	p.fresh = 0
	if len(p.byPID) > maxProcesses { // all have called recently: remove any
		for pid := range p.byPID {
			if len(p.byPID) <= maxProcesses-maxProcesses/8 {
				break
			}
			delete(p.byPID, pid)
		}
	}
}

// processAlive reports whether a process exists. If the receiver runs in its own pid
// namespace, it finds none: then a process loses its description after keptSweeps without a
// call.
func processAlive(pid uint32) bool {
	return !errors.Is(unix.Kill(int(pid), 0), unix.ESRCH)
}
