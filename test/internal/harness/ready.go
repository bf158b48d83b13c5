// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Ready is what a Collector logs at the end of each of its starts.
const Ready = "Everything is ready"

// AwaitReady waits until a Collector, which may be a descendant of the process, has been ready
// that many times and can be asked to end. It subscribes to signals only after it has logged
// that it is ready, and would die of an earlier one. Nothing shows that it has subscribed: the
// runtime of Go catches all signals from the start. But it waits for nothing until then, so it
// has once all of its threads sleep. A reload changes nothing about that.
func (p *Process) AwaitReady(limit time.Duration, times int) error {
	return p.Await(limit, fmt.Sprintf("write %q %d times and then sleep", Ready, times), func() bool {
		return strings.Count(p.Output(), Ready) >= times && (times > 1 || asleep(youngest(p.PID())))
	})
}

// youngest is the process itself, or the descendant that has no child.
func youngest(pid int) int {
	for {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
		if err != nil {
			return pid // it has gone, or the kernel has no CONFIG_PROC_CHILDREN
		}
		first, _, _ := strings.Cut(string(children), " ")
		child, err := strconv.Atoi(first)
		if err != nil {
			return pid
		}
		pid = child
	}
}

// asleep reports whether there was a moment at which all threads slept. The moment is the one
// between two looks at all threads: none has run between its two looks if its context switches
// are the same.
func asleep(pid int) bool {
	before := threads(pid)
	if len(before) == 0 || !maps.Equal(before, threads(pid)) {
		return false
	}
	for _, status := range before {
		if !strings.Contains(status, "\nState:\tS ") {
			return false
		}
	}
	return true
}

// threads are the statuses of the threads of a process, with their states and numbers of
// context switches.
func threads(pid int) map[string]string {
	statuses := map[string]string{}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, file := range files {
		b, _ := os.ReadFile(file) // empty if the thread has gone
		statuses[file] = string(b)
	}
	return statuses
}
