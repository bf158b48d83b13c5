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
	// sweepAfter is how many new processes come between two sweeps.
	sweepAfter = 4096
	// maxProcesses bounds the table. At about 1 KiB each it is 64 MiB on a host
	// that runs as many processes at once, and a few MiB elsewhere.
	maxProcesses = 65536
)

// processes remembers who the calls of a process belong to. Its description is
// sent once, before the first call, and a daemon may call once a day: so what
// still runs is kept, and what has gone is forgotten once two sweeps went by
// without a call of it. One image is kept for each pid, because an exec ends
// the image before it and the ring keeps their order.
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

// Get returns the resource of a process, nil when it is not known.
func (p *processes) Get(key record.ProcessKey) *workload.Resource {
	known := p.byPID[key.PID]
	if known == nil || known.key != key {
		return nil
	}
	known.used = p.sweep
	return known.resource
}

// Put remembers a process.
func (p *processes) Put(key record.ProcessKey, resource *workload.Resource) {
	p.byPID[key.PID] = &process{key: key, resource: resource, used: p.sweep}
	p.fresh++
	if p.fresh >= sweepAfter || len(p.byPID) > maxProcesses {
		p.forget()
	}
}

func (p *processes) forget() {
	full := len(p.byPID) > maxProcesses
	for pid, known := range p.byPID {
		if known.used < p.sweep && (full || !p.alive(pid)) {
			delete(p.byPID, pid)
		}
	}
	p.sweep++
	p.fresh = 0
	if len(p.byPID) > maxProcesses { // all of them called just now: any may go
		for pid := range p.byPID {
			if len(p.byPID) <= maxProcesses-sweepAfter {
				break
			}
			delete(p.byPID, pid)
		}
	}
}

// processAlive asks the kernel. In a pid namespace of its own the receiver sees
// no other process, and then all count as gone, which costs a daemon that was
// silent for two sweeps its description, and no more.
func processAlive(pid uint32) bool {
	return !errors.Is(unix.Kill(int(pid), 0), unix.ESRCH)
}
