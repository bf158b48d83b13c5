// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"regexp"
	"strings"
)

// The reserved part of the reference: what systemd accepts, from the root to the leaf.
var (
	serviceName   = regexp.MustCompile(`^_?([A-Za-z0-9:_.\\-][A-Za-z0-9:_.\\@-]*)\.service$`)
	withInstance  = regexp.MustCompile(`^([^@]+)@(.+)$`)
	anyContainer  = regexp.MustCompile(`^(?:docker|libpod|cri-containerd)-[0-9a-f]{64}\.scope$|^libpod-payload-[0-9a-f]{64}$`)
	anyUnitPrefix = regexp.MustCompile(`^(?:user@|systemd-nspawn@|machine-)`)
	anyPod        = regexp.MustCompile(`^(?:[a-z-]+-)?pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(\.slice)?$`)
)

// unitOf returns the outermost unit of components.
func unitOf(components []string) string {
	for _, c := range components {
		m := serviceName.FindStringSubmatch(c)
		switch {
		case m == nil && !strings.HasSuffix(c, ".scope"), anyUnitPrefix.MatchString(c):
			continue
		case m == nil || strings.HasPrefix(c, "run-"):
			return ""
		case strings.Contains(m[1], "@") && !withInstance.MatchString(m[1]):
			continue
		}
		return m[1] + ".service"
	}
	return ""
}

func reference(path string) (unit, service, pod string) {
	components := strings.Split(strings.Trim(path, "/"), "/")
	unit = unitOf(components)
	for i := len(components) - 1; i >= 0; i-- {
		if !anyContainer.MatchString(components[i]) {
			continue
		}
		unit = unitOf(components[i+1:])
		if unit == "" && strings.HasPrefix(components[i], "libpod-payload-") {
			unit = unitOf(components[i-1 : i])
		}
		for above := i - 1; above >= 0 && pod == ""; above-- {
			if m := anyPod.FindStringSubmatch(components[above]); m != nil && (m[2] != "" || strings.HasPrefix(components[above], "pod")) {
				pod = strings.ReplaceAll(m[1], "_", "-")
			}
		}
		break
	}
	service = strings.TrimSuffix(unit, ".service")
	if m := withInstance.FindStringSubmatch(service); m != nil {
		service = m[1]
	}
	return unit, service, pod
}
