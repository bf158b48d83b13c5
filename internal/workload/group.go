// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// The BPF programs keep this many bytes of a group's name and namespace, not decoded. The
// environment of a process is truncated likewise before it is decoded, so that its spans
// and its metrics have the same service.
const (
	nameMax      = 255 // GROUP_NAME_LENGTH - 1 of bpf/records.h
	namespaceMax = 127 // GROUP_NAMESPACE_LENGTH - 1
)

// Groups returns the resources of groups. The resource of a group does not change as long as
// the group exists, so that its calls never move to another one. It is not safe for
// concurrent use.
type Groups struct {
	procfs *Procfs
	boot   func() time.Time
	known  map[uint32]*Resource
}

// NewGroups returns a Groups. It reads environments that the BPF programs could not read
// from procfs. boot returns the wall-clock time of boot, which changes if that clock is
// set.
func NewGroups(procfs *Procfs, boot func() time.Time) *Groups {
	return &Groups{procfs: procfs, boot: boot, known: make(map[uint32]*Resource)}
}

// Resource returns the resource of a group. It has no attributes for the whole host and for
// the overflow group.
func (g *Groups) Resource(group record.Group) *Resource {
	if known, found := g.known[group.ID]; found {
		return known
	}
	resource := g.describe(group)
	if group.ID != record.GroupOverflow {
		g.known[group.ID] = resource
	}
	return resource
}

// Keep forgets the groups that do not exist any more.
func (g *Groups) Keep(exist map[uint32]record.Group) {
	maps.DeleteFunc(g.known, func(id uint32, _ *Resource) bool {
		_, found := exist[id]
		return !found
	})
}

func (g *Groups) describe(group record.Group) *Resource {
	if group.Origin&record.OriginContainer != 0 {
		var b builder
		b.str(containerID, group.Name)
		return newResource(b)
	}
	// The overflow group has no attributes, nor has the whole host.
	if group.ID == record.GroupOverflow || group.Name == "" {
		return &Resource{}
	}
	name, namespace := nameFromKernel(&group)
	if group.Origin&record.OriginEnvironmentUnavailable != 0 {
		// If the process has exited, or cannot be read, the name by the kernel remains.
		if e := g.procfs.environmentOfGroup(&group); e.err == nil {
			attributes, service := fromEnvironment(e.variables, false)
			name = cmp.Or(service, name)
			namespace = cmp.Or(namespaceOf(attributes), namespace)
		}
	}
	return g.service(group, name, namespace)
}

// nameFromKernel returns the name and namespace of a group that the BPF programs read.
func nameFromKernel(group *record.Group) (name, namespace string) {
	name = truncate(group.Name, nameMax)
	if group.Origin&(record.OriginServiceName|record.OriginExecutable) != 0 {
		name = Escape(name)
	} else if group.Origin&record.OriginAttributes != 0 {
		name = decodeName(name)
	}
	return name, decodeNamespace(group.Namespace)
}

func (g *Groups) service(group record.Group, name, namespace string) *Resource {
	var b builder
	b.str(serviceName, name)
	b.str(serviceNamespace, namespace)
	if group.Origin&record.OriginProcess != 0 {
		b.number(processPID, group.Process.PID)
		b.str(processCreationTime, creationTime(g.boot(), group.Process))
	}
	return newResource(b)
}

func namespaceOf(attributes []Attribute) string {
	for _, a := range attributes {
		if a.Key == serviceNamespace {
			return a.Str
		}
	}
	return ""
}

// initialPIDNamespace is the inode of the initial pid namespace, PROC_PID_INIT_INO
// of include/linux/proc_ns.h (since 3.8).
const initialPIDNamespace = "pid:[4026531836]"

// environmentOfGroup reads the OTEL_* variables of the process of a group. Its pid is one
// of the initial pid namespace, to which procfs must belong.
func (f *Procfs) environmentOfGroup(g *record.Group) environment {
	return f.environmentOf(g.Process, func(dir string, variables []string) error {
		namespace, err := os.Readlink(filepath.Join(f.root, "self", "ns", "pid"))
		if err != nil {
			return err
		}
		if namespace != initialPIDNamespace {
			return errors.New("this proc file system belongs to another pid namespace")
		}
		start, err := startTicks(dir)
		if err != nil {
			return err
		}
		if start != g.Process.Start/tick {
			return errOther
		}
		if g.Origin&record.OriginServiceName != 0 && !strings.HasPrefix(lookup(variables, serviceNameVariable), g.Name) {
			return errOther
		}
		name := ""
		if g.Origin&record.OriginExecutable != 0 {
			name = g.Name
		}
		// Newer kernels (6.18) permit CAP_PERFMON to read an environment, but not what
		// Complete needs for spans. Both must have the same service, so both need it.
		return sameExecutable(dir, name)
	})
}
