// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
	"github.com/getsockopt/getsockoptreceiver/internal/traces"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver/internal/metadata"
)

// spanOptions returns the options of spans. version is that of the instrumentation scope.
func spanOptions(c *Config, version string) traces.Options {
	return traces.Options{
		Version:            version,
		ValuesEnabled:      c.Values.Enabled,
		PendingErrorStatus: c.Spans.PendingErrorStatus,
		Expand:             set(c.Values.Expand),
		Always:             newAlways(c),
		SampledParents:     c.Spans.Parent == parentSampled,
	}
}

func set(values []string) map[string]bool {
	s := make(map[string]bool, len(values))
	for _, v := range values {
		s[v] = true
	}
	return s
}

// newAlways returns the attributes to write even if they are redundant. A span always has
// the network namespace of its socket if the resource does not have the one of its process.
func newAlways(c *Config) traces.Always {
	a := &c.SpanAttributes
	return traces.Always{
		LevelCode:        a.SocketOptionLevelCode.Enabled,
		Code:             a.SocketOptionCode.Enabled,
		Value:            a.SocketOptionValue.Enabled,
		ValueInt:         a.SocketOptionValueInt.Enabled,
		Entry:            a.SocketEntry.Enabled,
		Family:           a.SocketFamily.Enabled,
		Type:             a.SocketType.Enabled,
		Protocol:         a.SocketProtocol.Enabled,
		State:            a.SocketState.Enabled,
		Cookie:           a.SocketCookie.Enabled,
		NetworkNamespace: a.SocketNetworkNamespace.Enabled || !c.ResourceAttributes.SocketCallerNetworkNamespace.Enabled,
	}
}

// disabledAttributes are the keys of the resource attributes that the configuration
// disables.
type disabledAttributes map[string]struct{}

func newDisabledAttributes(c *metadata.ResourceAttributesConfig) disabledAttributes {
	d := disabledAttributes{}
	for key, attribute := range map[string]metadata.ResourceAttributeConfig{
		semconv.ContainerID:                  c.ContainerID,
		semconv.K8SPodUID:                    c.K8sPodUID,
		semconv.ProcessCreationTime:          c.ProcessCreationTime,
		semconv.ProcessExecutableName:        c.ProcessExecutableName,
		semconv.ProcessExecutablePath:        c.ProcessExecutablePath,
		semconv.ProcessLinuxCgroup:           c.ProcessLinuxCgroup,
		semconv.ProcessParentPID:             c.ProcessParentPid,
		semconv.ProcessPID:                   c.ProcessPid,
		semconv.ProcessRealUserID:            c.ProcessRealUserID,
		semconv.ProcessUserID:                c.ProcessUserID,
		semconv.ProcessVPID:                  c.ProcessVpid,
		semconv.ServiceInstanceID:            c.ServiceInstanceID,
		semconv.ServiceName:                  c.ServiceName,
		semconv.ServiceNamespace:             c.ServiceNamespace,
		semconv.SocketCallerMountNamespace:   c.SocketCallerMountNamespace,
		semconv.SocketCallerNetworkNamespace: c.SocketCallerNetworkNamespace,
		semconv.SocketCallerPIDNamespace:     c.SocketCallerPidNamespace,
		semconv.SystemdUnitName:              c.SystemdUnitName,
	} {
		if !attribute.Enabled {
			d[key] = struct{}{}
		}
	}
	return d
}

func (d disabledAttributes) removeFromTraces(batch ptrace.Traces) {
	if len(d) == 0 {
		return
	}
	for _, resource := range batch.ResourceSpans().All() {
		resource.Resource().Attributes().RemoveIf(func(key string, _ pcommon.Value) bool {
			_, found := d[key]
			return found
		})
	}
}

// without returns the resource of a metric without them. The builder of metrics adds up
// those that do not differ any more: backends would keep one of them.
func (d disabledAttributes) without(resource *workload.Resource) *workload.Resource {
	if len(d) == 0 {
		return resource
	}
	var kept []workload.Attribute
	for _, a := range resource.Attributes {
		if _, found := d[a.Key]; !found {
			kept = append(kept, a)
		}
	}
	return &workload.Resource{Attributes: kept}
}
