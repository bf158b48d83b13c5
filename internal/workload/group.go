// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// The kernel keeps this many bytes of a group's name and namespace, as they
// stand in the environment. The same cut is made before a process's own
// environment is decoded, so that its spans and its metrics name one service.
const (
	nameMax      = 255 // GROUP_NAME_LENGTH - 1 of bpf/records.h
	namespaceMax = 127 // GROUP_NAMESPACE_LENGTH - 1
)

// Groups describes what calls are counted under. It decides on a group once,
// so that its calls never move to another resource.
type Groups struct {
	procfs *Procfs
	boot   func() time.Time
	known  map[uint32]*Resource
}

// NewGroups returns a Groups that has environments which the kernel left unread
// from procfs. Boot returns the wall-clock time of boot, which changes when that
// clock is set.
func NewGroups(procfs *Procfs, boot func() time.Time) *Groups {
	return &Groups{procfs: procfs, boot: boot, known: make(map[uint32]*Resource)}
}

// Resource describes a group.
func (g *Groups) Resource(group record.Group) *Resource {
	if known, found := g.known[group.ID]; found {
		return known
	}
	resource := g.decide(group)
	if group.ID != record.GroupOverflow {
		g.known[group.ID] = resource
	}
	return resource
}

func (g *Groups) decide(group record.Group) *Resource {
	if group.Origin&record.OfContainer != 0 {
		var b builder
		b.str(containerID, group.Name)
		return newResource("", b)
	}
	// The group of processes that found the kernel's table of groups full has no
	// attributes, nor has the whole host.
	if group.ID == record.GroupOverflow || group.Name == "" {
		return &Resource{}
	}
	name, namespace := described(&group)
	if group.Origin&record.Unread != 0 {
		// Of a process that is gone, or hides, what the kernel read has to do.
		if e := g.procfs.environmentOfGroup(&group); e.err == nil {
			attributes, service := fromEnvironment(e.variables, false)
			name = cmp.Or(service, name)
			namespace = cmp.Or(namespaceOf(attributes), namespace)
		}
	}
	return g.service(group, name, namespace)
}

// described names a group by what the kernel read alone.
func described(group *record.Group) (name, namespace string) {
	name = cut(group.Name, nameMax)
	if group.Origin&(record.FromServiceName|record.FromExecutable) != 0 {
		name = Escape(name)
	} else if group.Origin&record.FromAttributes != 0 {
		name = decodeName(name)
	}
	return name, decodeNamespace(group.Namespace)
}

func (g *Groups) service(group record.Group, name, namespace string) *Resource {
	var b builder
	b.str(serviceName, name)
	b.str(serviceNamespace, namespace)
	if group.Origin&record.OfProcess != 0 {
		b.number(processPID, group.Process.PID)
		b.str(processCreationTime, creationTime(g.boot(), group.Process))
	}
	return newResource(name, b)
}

func namespaceOf(attributes []Attribute) string {
	for _, a := range attributes {
		if a.Key == serviceNamespace {
			return a.Str
		}
	}
	return ""
}

// initialPIDNamespace is the inode of the first pid namespace, PROC_PID_INIT_INO
// of include/linux/proc_ns.h (since 3.8).
const initialPIDNamespace = "pid:[4026531836]"

// environmentOfGroup reads the OTEL_* variables of the process of a group. The
// kernel numbers it in the initial pid namespace, so procfs must be of that.
func (f *Procfs) environmentOfGroup(g *record.Group) environment {
	return f.environmentOf(g.Process, func(dir string, variables []string) error {
		namespace, err := os.Readlink(filepath.Join(f.root, "self", "ns", "pid"))
		if err != nil {
			return err
		}
		if namespace != initialPIDNamespace {
			return errors.New("this proc file system is of another pid namespace")
		}
		start, err := startTicks(dir)
		if err != nil {
			return err
		}
		if start != g.Process.Start/tick {
			return errOther
		}
		if g.Origin&record.FromServiceName != 0 && !strings.HasPrefix(lookup(variables, serviceNameVariable), g.Name) {
			return errOther
		}
		name := ""
		if g.Origin&record.FromExecutable != 0 {
			name = g.Name
		}
		// Newer kernels give an environment to CAP_PERFMON (6.18 does), but not
		// what Complete needs for the spans. Both must name one service, so both
		// need it.
		return sameExecutable(dir, name)
	})
}
