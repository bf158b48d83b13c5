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

// environmentsMax bounds the environments that are remembered, of 8 KiB at the
// most. They are asked for twice within a collection interval.
const environmentsMax = 1024

// Procfs asks a mounted proc file system, such as "/proc", what the kernel side
// could not read. Spans and metrics share one: what it found of a process once
// holds for both, also when the process is gone by the second time.
type Procfs struct {
	root string

	mu           sync.Mutex
	environments map[record.ProcessKey]environment
	asked        []record.ProcessKey // the keys of environments, oldest first
	incomplete   Incomplete
	controllers  map[uint32]string // of the cgroup hierarchies, by their numbers
}

// environment is what was found of one, or why it was not.
type environment struct {
	variables []string
	err       error
}

// Incomplete counts processes whose environment the kernel side left to be
// completed, by what came of it. It only grows.
type Incomplete struct {
	EnvironmentUnavailable uint64 // it could not be read here either
	EnvironmentOverwritten uint64 // the program wrote over it
	VariableCut            uint64 // a variable is longer than is kept
}

// NewProcfs returns the Procfs of a mounted proc file system.
func NewProcfs(root string) *Procfs {
	return &Procfs{root: root, environments: make(map[record.ProcessKey]environment)}
}

// Incomplete returns the counts so far.
func (f *Procfs) Incomplete() Incomplete {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.incomplete
}

// environmentOf reads the environment of a process, once. The check decides
// whether the directory is still that of the process image; it comes after the
// reading, because what was read then is what the process had, unless it has
// changed since, and then the check fails.
func (f *Procfs) environmentOf(key record.ProcessKey, check func(dir string, variables []string) error) environment {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e, known := f.environments[key]; known {
		return e
	}
	dir := filepath.Join(f.root, strconv.FormatUint(uint64(key.PID), 10))
	var e environment
	var cut, overwritten bool
	e.variables, cut, overwritten, e.err = readEnvironment(dir)
	if e.err == nil {
		e.err = check(dir, e.variables)
	}
	switch {
	case e.err != nil:
		f.incomplete.EnvironmentUnavailable++
	default:
		f.incomplete.EnvironmentOverwritten += count(overwritten)
		f.incomplete.VariableCut += count(cut)
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

// CgroupLine returns the line of /proc/PID/cgroup that holds the process's
// cgroup, as the initial cgroup namespace sees it; empty when it is not known.
func (f *Procfs) CgroupLine(p *record.Process) string {
	switch {
	case p.CgroupPath == "":
		return ""
	case p.CgroupHierarchy == 0:
		return "0::" + p.CgroupPath
	case p.CgroupHierarchy == record.NoHierarchy:
		// At the root of all: v2 will do, if the host has it.
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

// controllersOf returns the second field of the hierarchy's line, which is the
// same for each process. A number is not given again to another hierarchy until
// all have been used.
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
