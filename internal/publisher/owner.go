// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// owner is the container, unit or user of a process, as the beginning of its cgroup's path.
// Programs without privileges cannot have two.
type owner string

var (
	// The outermost one: containers and users make cgroups with any names.
	userOrContainer = regexp.MustCompile(`^.*?(?:/user-[0-9]+\.slice|[0-9a-f]{64})`)
	// An engine's unit is above its containers.
	unit = regexp.MustCompile(`^.*?\.(?:service|scope)(?:/|$)`)
)

// ownerOf returns the owner of a process with a folder in /proc.
func ownerOf(dir string) (owner, error) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return "", err
	}
	return parseOwner(string(b)), nil
}

// parseOwner parses lines of the form hierarchy:controllers:path. Hierarchies without
// controllers in use have short paths.
func parseOwner(list string) owner {
	var path string
	for line := range strings.Lines(list) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) == 3 && len(fields[2]) > len(path) {
			path = fields[2]
		}
	}
	if found := userOrContainer.FindString(path); found != "" {
		return owner(found)
	}
	if found := unit.FindString(path); found != "" {
		return owner(strings.TrimSuffix(found, "/"))
	}
	top, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return owner("/" + top)
}
