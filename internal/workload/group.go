// SPDX-License-Identifier: Apache-2.0

package workload

import "github.com/getsockopt/getsockoptreceiver/internal/record"

// The kernel keeps this many bytes of a group's name and namespace, as they
// stand in the environment. The same cut is made before a process's own
// environment is decoded, so that its spans and its metrics name one service.
const (
	nameMax      = 255 // GROUP_NAME_LENGTH - 1 of bpf/records.h
	namespaceMax = 127 // GROUP_NAMESPACE_LENGTH - 1
)

// FromGroup describes the service that calls are counted under. The group of
// processes that found the kernel's table of groups full has no attributes,
// nor has a group without a name.
func FromGroup(g record.Group) *Resource {
	if g.ID == record.GroupOverflow || g.Name == "" {
		return &Resource{}
	}
	name := cut(g.Name, nameMax)
	switch {
	case g.Origin&(record.FromServiceName|record.FromExecutable) != 0:
		name = Escape(name)
	case g.Origin&record.FromAttributes != 0:
		name = decodeName(name)
	}
	var b builder
	b.str(serviceName, name)
	b.str(serviceNamespace, decodeNamespace(g.Namespace))
	return newResource(name, b)
}
