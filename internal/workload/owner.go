// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Owner is the container, unit or user of a process, as the beginning of its cgroup's path.
// Programs without privileges cannot have two, unless they have a unit with a delegated subtree,
// in which they name containers.
type Owner string

var (
	// The outermost one: containers and users make cgroups with any names.
	userOrContainer = regexp.MustCompile(`^.*?(?:/user-[0-9]+\.slice|[0-9a-f]{64})`)
	// An engine's unit is above its containers.
	unit = regexp.MustCompile(`^.*?\.(?:service|scope)(?:/|$)`)
)

// OwnerOf returns the owner of a process with a folder in /proc.
func OwnerOf(dir string) (Owner, error) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return "", err
	}
	return parseOwner(string(b)), nil
}

// parseOwner parses lines of the form hierarchy:controllers:path, the highest number first. The
// path that names a container or a user counts, then one that names a unit; of several that of
// the lowest number, as in bpf/cgroup.h.
func parseOwner(list string) Owner {
	best, owner := 0, Owner("/")
	for line := range strings.Lines(list) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		if rank, o := ownerOfPath(fields[2]); rank >= best {
			best, owner = rank, o
		}
	}
	return owner
}

func ownerOfPath(path string) (rank int, o Owner) {
	if found := userOrContainer.FindString(path); found != "" {
		return 3, Owner(found)
	}
	if found := unit.FindString(path); found != "" {
		return 2, Owner(strings.TrimSuffix(found, "/"))
	}
	top, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if top == "" {
		return 0, "/"
	}
	return 1, Owner("/" + top)
}
