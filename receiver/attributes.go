// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/receiver/internal/metadata"
)

// dropped is the resource attributes that the configuration turns off.
type dropped map[string]struct{}

func newDropped(c *metadata.ResourceAttributesConfig) dropped {
	d := dropped{}
	for key, attribute := range map[string]metadata.ResourceAttributeConfig{
		"container.id":                    c.ContainerID,
		"process.creation.time":           c.ProcessCreationTime,
		"process.executable.name":         c.ProcessExecutableName,
		"process.executable.path":         c.ProcessExecutablePath,
		"process.linux.cgroup":            c.ProcessLinuxCgroup,
		"process.parent_pid":              c.ProcessParentPid,
		"process.pid":                     c.ProcessPid,
		"process.real_user.id":            c.ProcessRealUserID,
		"process.user.id":                 c.ProcessUserID,
		"process.vpid":                    c.ProcessVpid,
		"service.instance.id":             c.ServiceInstanceID,
		"service.name":                    c.ServiceName,
		"service.namespace":               c.ServiceNamespace,
		"socket.caller.mount_namespace":   c.SocketCallerMountNamespace,
		"socket.caller.network_namespace": c.SocketCallerNetworkNamespace,
		"socket.caller.pid_namespace":     c.SocketCallerPidNamespace,
	} {
		if !attribute.Enabled {
			d[key] = struct{}{}
		}
	}
	return d
}

func (d dropped) fromTraces(batch ptrace.Traces) {
	if len(d) == 0 {
		return
	}
	for _, resource := range batch.ResourceSpans().All() {
		d.from(resource.Resource().Attributes())
	}
}

func (d dropped) fromMetrics(batch pmetric.Metrics) {
	if len(d) == 0 {
		return
	}
	for _, resource := range batch.ResourceMetrics().All() {
		d.from(resource.Resource().Attributes())
	}
}

func (d dropped) from(attributes pcommon.Map) {
	attributes.RemoveIf(func(key string, _ pcommon.Value) bool {
		_, found := d[key]
		return found
	})
}
