// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
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
	procfs string
	boot   func() time.Time
	known  map[uint32]*Resource
}

// NewGroups returns a Groups that reads environments which the kernel could not
// read from procfs, such as "/proc". Boot returns the wall-clock time of boot,
// which changes when that clock is set.
func NewGroups(procfs string, boot func() time.Time) *Groups {
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
	if group.Origin&record.Unread != 0 {
		if environment, err := groupEnvironment(g.procfs, &group); err == nil {
			if attributes, service := fromEnvironment(environment); service != "" {
				return g.service(group, service, namespaceOf(attributes))
			}
		}
		// The process is gone, or hides: its executable's name has to do.
	}
	return g.describe(group)
}

// describe goes by what the kernel read alone. The group of processes that
// found the kernel's table of groups full has no attributes, nor has the whole
// host, nor what runs in no container.
func (g *Groups) describe(group record.Group) *Resource {
	if group.Origin&record.FromCgroups != 0 {
		var b builder
		b.str(containerID, ContainerID(group.Cgroups))
		return newResource("", b)
	}
	if group.ID == record.GroupOverflow || group.Name == "" {
		return &Resource{}
	}
	name := cut(group.Name, nameMax)
	switch {
	case group.Origin&(record.FromServiceName|record.FromExecutable) != 0:
		name = Escape(name)
	case group.Origin&record.FromAttributes != 0:
		name = decodeName(name)
	}
	return g.service(group, name, decodeNamespace(group.Namespace))
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

// groupEnvironment reads the OTEL_* variables of the process of a group. The
// kernel numbers it in the initial pid namespace, so procfs must be of that.
func groupEnvironment(procfs string, g *record.Group) ([]string, error) {
	namespace, err := os.Readlink(filepath.Join(procfs, "self", "ns", "pid"))
	if err != nil {
		return nil, err
	}
	if namespace != initialPIDNamespace {
		return nil, errors.New("this proc file system is of another pid namespace")
	}
	dir := filepath.Join(procfs, strconv.FormatUint(uint64(g.Process.PID), 10))
	environment, _, err := readEnvironment(dir)
	if err != nil {
		return nil, err
	}
	// Newer kernels give an environment to CAP_PERFMON (6.18 does), but not what
	// Complete needs for the spans. Both must name one service, so both need it.
	if _, err := os.Readlink(filepath.Join(dir, "exe")); err != nil {
		return nil, err
	}
	if start, err := startTicks(dir); err != nil {
		return nil, err
	} else if start != g.Process.Start/tick {
		return nil, errOther
	}
	return environment, nil
}
