// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// FromProcess describes one process image. Boot is the wall-clock time of
// boot; when it is zero the time of the process's creation is left out. Cgroup
// is what [Procfs.CgroupLine] returned.
func FromProcess(p *record.Process, boot time.Time, cgroup string) *Resource {
	attributes, service := fromEnvironment(p.Environment, p.AttributesCut)
	if service == "" {
		service = Escape(cut(executableName(p), nameMax))
	}
	if service == "" {
		service = unknownService
	}
	b := builder(attributes)
	b.str(serviceName, service)
	b.number(processPID, p.Key.PID)
	b.number(processParentPID, p.ParentPID)
	b.number(processVPID, p.NamespacePID)
	b.str(processExecutableName, Escape(p.ExecutableName))
	b.str(processExecutablePath, Escape(p.ExecutablePath))
	b.str(processCreationTime, creationTime(boot, p.Key))
	b.id(processUserID, p.UID)
	b.id(processRealUserID, p.RealUID)
	b.str(containerID, p.ContainerID)
	b.str(processLinuxCgroup, Escape(cgroup))
	b.number(callerPIDNamespace, p.PIDNamespace)
	b.number(callerMountNamespace, p.MountNamespace)
	b.number(callerNetworkNamespace, p.NetNamespace)
	return newResource(service, b)
}

func creationTime(boot time.Time, key record.ProcessKey) string {
	if boot.IsZero() {
		return ""
	}
	return boot.Add(time.Duration(key.Start)).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// FromCall describes the process of a call whose own record has not arrived:
// the ring was full when it was due. Nothing but its pid is known then. The
// thread's comm is not taken for a service's name: threads are named after
// their work, and such names would fill every list of services.
func FromCall(c *record.Call) *Resource {
	var b builder
	b.str(serviceName, unknownService)
	b.number(processPID, c.Process.PID)
	return newResource(unknownService, b)
}

// executableName is what a process goes by that has not named its service; a
// kernel thread has no executable, but a comm.
func executableName(p *record.Process) string {
	if p.ExecutableName == "" {
		return p.Comm
	}
	return p.ExecutableName
}

// builder gathers attributes and leaves out those that are not there.
type builder []Attribute

func (b *builder) str(key, value string) {
	if value != "" {
		*b = append(*b, Attribute{Key: key, Str: value})
	}
}

// number adds a number of which 0 means that there is none: no process and no
// namespace has it.
func (b *builder) number(key string, n uint32) {
	if n != 0 {
		b.id(key, n)
	}
}

// id adds a number of which 0 is as good as any other, like root's.
func (b *builder) id(key string, n uint32) {
	*b = append(*b, Attribute{Key: key, Int: int64(n), IsInt: true})
}
