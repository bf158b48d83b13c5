// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// environmentsMax bounds the cache of environments, of 8 KiB each at most. Each is used
// twice within a collection interval.
const environmentsMax = 1024

// Procfs reads from a mounted proc file system what the BPF programs could not read. Spans
// and metrics share one: the environment of a process that it has read once is the same
// for both, also if the process has exited meanwhile. It is safe for concurrent use.
type Procfs struct {
	root string

	mu           sync.Mutex
	patience     *patience
	environments map[record.ProcessKey]environment
	asked        []record.ProcessKey // the keys of environments, oldest first
	incomplete   Incomplete
	controllers  map[uint32]string // of the cgroup hierarchies, by their numbers
}

// environment is the OTEL_* variables of a process, or the error of reading them.
type environment struct {
	variables []string
	err       error
}

// reading is what a reading of an environment has found.
type reading struct {
	environment
	cut, overwritten bool
}

// Incomplete counts processes whose environment the BPF programs could not read. The counts
// only grow.
type Incomplete struct {
	EnvironmentUnavailable uint64 // it could not be read from /proc either
	EnvironmentOverwritten uint64 // the program overwrote it
	VariableCut            uint64 // a variable was truncated
}

// NewProcfs returns the Procfs of a proc file system that is mounted at root, such as
// "/proc".
func NewProcfs(root string) *Procfs {
	return &Procfs{root: root, patience: newPatience(), environments: make(map[record.ProcessKey]environment)}
}

// Incomplete returns the counts so far.
func (f *Procfs) Incomplete() Incomplete {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.incomplete
}

// environmentOf reads the environment of a process once. check returns an error if the
// directory does not belong to the process image any more. It runs after the reading: if
// the image changed before or during it, the check fails. It may still run when environmentOf
// has returned.
func (f *Procfs) environmentOf(key record.ProcessKey, check func(dir string, variables []string) error) environment {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e, known := f.environments[key]; known {
		return e
	}
	dir := filepath.Join(f.root, strconv.FormatUint(uint64(key.PID), 10))
	// Processes of which it is not known, as they have ended, count as those of one owner.
	owner, _ := OwnerOf(dir)
	r, err := f.patience.read(owner, func() (r reading) {
		r.variables, r.cut, r.overwritten, r.err = readEnvironment(dir)
		if r.err == nil {
			r.err = check(dir, r.variables)
		}
		return r
	})
	e := r.environment
	if err != nil {
		e.err = err
	}
	switch {
	case e.err != nil:
		f.incomplete.EnvironmentUnavailable++
	default:
		f.incomplete.EnvironmentOverwritten += count(r.overwritten)
		f.incomplete.VariableCut += count(r.cut)
	}
	if len(f.asked) == environmentsMax {
		delete(f.environments, f.asked[0])
		f.asked = f.asked[1:]
	}
	f.environments[key] = e
	f.asked = append(f.asked, key)
	return e
}

func count(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// CgroupLine returns the line of /proc/PID/cgroup with the cgroup of a process, as seen
// from the initial cgroup namespace; empty if it is not known.
func (f *Procfs) CgroupLine(p *record.Process) string {
	switch {
	case p.CgroupPath == "":
		return ""
	case p.CgroupHierarchy == 0:
		return "0::" + p.CgroupPath
	case p.CgroupHierarchy == record.NoHierarchy:
		// At the root of every hierarchy: the line is that of v2, if the host has it.
		if _, found := f.controllersOf(0); !found {
			return ""
		}
		return "0::" + p.CgroupPath
	}
	controllers, found := f.controllersOf(p.CgroupHierarchy)
	if !found {
		return ""
	}
	return strconv.FormatUint(uint64(p.CgroupHierarchy), 10) + ":" + controllers + ":" + p.CgroupPath
}

// controllersOf returns the second field of the hierarchy's line, which is the same for
// each process. The kernel reuses the number of a hierarchy only after all others.
func (f *Procfs) controllersOf(hierarchy uint32) (controllers string, found bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if controllers, found = f.controllers[hierarchy]; found {
		return controllers, true
	}
	b, err := os.ReadFile(filepath.Join(f.root, "self", "cgroup"))
	if err != nil {
		return "", false
	}
	f.controllers = make(map[uint32]string)
	for line := range strings.Lines(string(b)) {
		fields := strings.SplitN(line, ":", 3)
		if number, err := strconv.ParseUint(fields[0], 10, 32); err == nil && len(fields) == 3 {
			f.controllers[uint32(number)] = fields[1]
		}
	}
	controllers, found = f.controllers[hierarchy]
	return controllers, found
}
