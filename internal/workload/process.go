// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// FromProcess returns the resource of a process image. published is what the process
// publishes, which comes before what its environment defines. boot is the wall-clock time of boot;
// if it is zero, the resource has no creation time. cgroup is the result of
// [Procfs.CgroupLine]. The first fallback that applies names the service of a process that
// does not name it itself.
func FromProcess(p *record.Process, boot time.Time, cgroup string, fallbacks []record.NameFallback, published ...Attribute) *Resource {
	attributes, service, named := fromEnvironment(p.Environment, p.AttributesCut)
	if !named {
		service = fallbackName(p, fallbacks)
	}
	b := builder(attributes)
	b.str(serviceName, service)
	b.published(published)
	b.number(processPID, p.Key.PID)
	b.number(processParentPID, p.ParentPID)
	b.number(processVPID, p.NamespacePID)
	b.str(processExecutableName, Escape(p.ExecutableName))
	b.str(processExecutablePath, Escape(p.ExecutablePath))
	b.str(processCreationTime, creationTime(boot, p.Key))
	b.id(processUserID, p.UID)
	b.id(processRealUserID, p.RealUID)
	b.str(containerID, p.ContainerID)
	b.str(podUID, p.PodUID)
	b.str(systemdUnitName, p.SystemdUnit)
	b.str(processLinuxCgroup, Escape(cgroup))
	b.number(callerPIDNamespace, p.PIDNamespace)
	b.number(callerMountNamespace, p.MountNamespace)
	b.number(callerNetworkNamespace, p.NetNamespace)
	return newResource(b)
}

func creationTime(boot time.Time, key record.ProcessKey) string {
	if boot.IsZero() {
		return ""
	}
	return boot.Add(time.Duration(key.Start)).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// fallbackName returns the name that bpf/group.h gives to the process.
func fallbackName(p *record.Process, fallbacks []record.NameFallback) string {
	for _, fallback := range fallbacks {
		name := p.UnitService
		if fallback == record.FallbackExecutable {
			name = Escape(truncate(executableName(p), nameMax))
		}
		if name != "" {
			return name
		}
	}
	return ""
}

// FromCall returns the resource of a call whose process record was lost because the ring
// buffer was full: only the pid is known. The thread's comm does not become the service's
// name, because threads are named after their work, and such names would fill every list
// of services.
func FromCall(c *record.Call) *Resource {
	var b builder
	b.number(processPID, c.Process.PID)
	return newResource(b)
}

// executableName returns the name of the executable. A kernel thread has none, but a comm.
func executableName(p *record.Process) string {
	if p.ExecutableName == "" {
		return p.Comm
	}
	return p.ExecutableName
}

// builder collects attributes and leaves out those without a value.
type builder []Attribute

func (b *builder) str(key, value string) {
	if value != "" {
		*b = append(*b, Attribute{Key: key, Str: value})
	}
}

// number adds a number, unless it is 0, which no process and no namespace has.
func (b *builder) number(key string, n uint32) {
	if n != 0 {
		b.id(key, n)
	}
}

// id adds a number that may be 0, such as root's.
func (b *builder) id(key string, n uint32) {
	*b = append(*b, Attribute{Key: key, Int: int64(n), IsInt: true})
}
