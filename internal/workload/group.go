// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// The BPF programs keep this many bytes of a group's name, and of its namespace or
// instance, not decoded. The environment of a process is truncated likewise before it is
// decoded, so that its spans and its metrics have the same service.
const (
	nameMax  = 255 // GROUP_NAME_LENGTH - 1 of bpf/records.h
	shortMax = 127 // GROUP_NAMESPACE_LENGTH - 1 and GROUP_INSTANCE_LENGTH - 1
)

// Groups returns the resources of groups. The resource of a group does not change as long as
// the group exists, so that its calls never move to another one. It is safe for concurrent
// use.
type Groups struct {
	procfs *Procfs
	boot   func() time.Time

	mu    sync.Mutex
	known map[uint32]description
}

// description is what is known of a group.
type description struct {
	resource *Resource
	names    names
}

// NewGroups returns a Groups. It reads environments that the BPF programs could not read
// from procfs. boot returns the wall-clock time of boot, which changes if that clock is
// set.
func NewGroups(procfs *Procfs, boot func() time.Time) *Groups {
	return &Groups{procfs: procfs, boot: boot, known: make(map[uint32]description)}
}

// Resource returns the resource of a group. It has no attributes for the whole host and for
// the overflow group.
func (g *Groups) Resource(group record.Group) *Resource { return g.of(group).resource }

// Name returns the resource of a process with the names of the group of its calls. They are
// those of its first call: the program may have overwritten its environment since.
func (g *Groups) Name(process *Resource, group record.Group) *Resource {
	own := g.of(group).names
	var b builder
	for _, a := range process.Attributes {
		switch a.Key {
		case serviceName, serviceNamespace:
			if group.Origin&record.OriginService != 0 {
				continue
			}
		case serviceInstanceID:
			if group.Origin&record.OriginContainer != 0 {
				continue
			}
		}
		b = append(b, a)
	}
	b.str(serviceName, own.name)
	b.str(serviceNamespace, own.namespace)
	b.str(serviceInstanceID, own.instance)
	return newResource(b)
}

func (g *Groups) of(group record.Group) description {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known, found := g.known[group.ID]; found {
		return known
	}
	d := g.describe(group)
	if group.ID != record.GroupOverflow {
		g.known[group.ID] = d
	}
	return d
}

// Keep forgets the groups that do not exist any more.
func (g *Groups) Keep(exist map[uint32]record.Group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.known, func(id uint32, _ description) bool {
		_, found := exist[id]
		return !found
	})
}

func (g *Groups) describe(group record.Group) description {
	if group.ID == record.GroupOverflow {
		return description{resource: &Resource{}}
	}
	own := namesFromKernel(&group)
	if group.Origin&record.OriginEnvironmentUnavailable != 0 {
		// If the process has exited, or cannot be read, the names by the kernel remain.
		if e := g.procfs.environmentOfGroup(group); e.err == nil {
			own.complete(e.variables, group.Origin)
		}
	}
	var b builder
	b.str(serviceName, own.name)
	b.str(serviceNamespace, own.namespace)
	b.str(serviceInstanceID, cmp.Or(own.instance, group.ContainerID))
	b.str(containerID, group.ContainerID)
	b.str(podUID, group.PodUID)
	b.str(systemdUnitName, group.SystemdUnit)
	if group.Origin&record.OriginProcess != 0 {
		b.number(processPID, group.Process.PID)
		b.str(processCreationTime, creationTime(g.boot(), group.Process))
	}
	return description{newResource(b), own}
}

// names is the decoded names of a group.
type names struct{ name, namespace, instance string }

// namesFromKernel returns the names that the BPF programs read.
func namesFromKernel(group *record.Group) names {
	name := truncate(group.Name, nameMax)
	if group.Origin&(record.OriginServiceName|record.OriginSystemdUnit|record.OriginExecutable) != 0 {
		name = Escape(name)
	} else {
		name = decodeName(name)
	}
	return names{name, decodeShort(group.Namespace), decodeShort(group.InstanceID)}
}

// complete adds what the environment defines, as far as it is a part of the group, and not
// published by the process.
func (n *names) complete(environment []string, parts record.Origin) {
	attributes, name, named := fromEnvironment(environment, false)
	if named && parts&record.OriginService != 0 && parts&record.OriginNamePublished == 0 {
		n.name = name
	}
	for _, a := range attributes {
		switch {
		case a.Key == serviceNamespace && parts&record.OriginService != 0 && parts&record.OriginNamespacePublished == 0:
			n.namespace = a.Str
		case a.Key == serviceInstanceID && parts&record.OriginContainer != 0 && parts&record.OriginInstancePublished == 0:
			n.instance = a.Str
		}
	}
}

// initialPIDNamespace is the inode of the initial pid namespace, PROC_PID_INIT_INO
// of include/linux/proc_ns.h (since 3.8).
const initialPIDNamespace = "pid:[4026531836]"

// environmentOfGroup reads the OTEL_* variables of the process of a group. Its pid is one
// of the initial pid namespace, to which procfs must belong.
func (f *Procfs) environmentOfGroup(g record.Group) environment {
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
		if g.Origin&record.OriginServiceName != 0 && g.Origin&record.OriginNamePublished == 0 && !strings.HasPrefix(lookup(variables, serviceNameVariable), g.Name) {
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
