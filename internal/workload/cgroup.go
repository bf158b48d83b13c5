// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strings"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// engines are what container engines put before a container's id in the name
// of its cgroup: engine-<id>.scope with the systemd driver, engine-<id> and
// parent:engine:<id> without.
var engines = []string{"docker", "cri-containerd", "containerd", "crio", "libpod", "libpod-payload", "nerdctl"}

// ContainerID returns the id of the container that a process runs in, empty
// if its cgroups show none. Of containers in containers it is the innermost.
// The v2 hierarchy comes first, since the others may stay behind it when both
// are mounted.
func ContainerID(cgroups []record.Cgroup) string {
	for _, v2 := range []bool{true, false} {
		for _, c := range cgroups {
			if c.V2 != v2 {
				continue
			}
			if id := containerIn(c.Path); id != "" {
				return id
			}
		}
	}
	return ""
}

// cgroupPath is the process's place in the v2 hierarchy, else in the first v1
// hierarchy; empty at the root.
func cgroupPath(cgroups []record.Cgroup) string {
	for _, c := range cgroups {
		if c.V2 {
			return c.Path
		}
	}
	if len(cgroups) > 0 {
		return cgroups[0].Path
	}
	return ""
}

func containerIn(path string) string {
	id := ""
	var users, ecs bool // below user.slice, below an ecs directory
	for component := range strings.SplitSeq(path, "/") {
		switch {
		case component == "user.slice":
			users = true
		case component == "ecs":
			ecs = true
		case isID(component):
			// Nobody but an engine names a cgroup so (docker/<id>, k8s.io/<id>,
			// pod<uid>/<id>, or the parent that --cgroup-parent names), except
			// where any user may make cgroups.
			if !users {
				id = component
			}
		case ecs && isFargateID(component):
			id = component
		default:
			if named := namedID(component); named != "" {
				id = named
			}
		}
	}
	return id
}

// namedID finds the id in a cgroup's name that also names its engine. The name
// must be the engine's and nothing but: crio-conmon-<id>.scope and
// libpod-conmon-<id>.scope hold the monitor of a container, which runs outside.
func namedID(name string) string {
	name = strings.TrimSuffix(name, ".scope")
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		id, rest := name[i+1:], name[:i]
		if isID(id) && isEngine(rest[strings.LastIndexByte(rest, ':')+1:]) && strings.Contains(rest, ":") {
			return id
		}
		return ""
	}
	i := strings.LastIndexByte(name, '-')
	if i >= 0 && isID(name[i+1:]) && isEngine(name[:i]) {
		return name[i+1:]
	}
	return ""
}

func isEngine(s string) bool {
	for _, e := range engines {
		if s == e {
			return true
		}
	}
	return false
}

// isID tells the 64 hexadecimal digits that Docker, containerd, CRI-O and
// podman name containers with.
func isID(s string) bool { return len(s) == 64 && isHex(s) }

// isFargateID tells the ids of Amazon ECS on Fargate: the task's 32
// hexadecimal digits, and a number for the container.
func isFargateID(s string) bool {
	task, number, found := strings.Cut(s, "-")
	if !found || len(task) != 32 || !isHex(task) || number == "" {
		return false
	}
	for i := range len(number) {
		if number[i] < '0' || number[i] > '9' {
			return false
		}
	}
	return true
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
