// SPDX-License-Identifier: Apache-2.0

package workload

// SchemaURL names the version of OpenTelemetry's semantic conventions that
// resources, spans and metrics follow: sem_conv_version of the receiver's
// metadata.yaml.
const SchemaURL = "https://opentelemetry.io/schemas/1.44.0"

// The resource attributes this package sets. All but the socket.caller.* ones
// are registered in OpenTelemetry's semantic conventions.
const (
	serviceName      = "service.name"
	serviceNamespace = "service.namespace"

	processPID            = "process.pid"
	processParentPID      = "process.parent_pid"
	processVPID           = "process.vpid"
	processExecutableName = "process.executable.name"
	processExecutablePath = "process.executable.path"
	processCreationTime   = "process.creation.time"
	processUserID         = "process.user.id"
	processRealUserID     = "process.real_user.id"
	processLinuxCgroup    = "process.linux.cgroup"

	containerID = "container.id"

	callerPIDNamespace     = "socket.caller.pid_namespace"
	callerMountNamespace   = "socket.caller.mount_namespace"
	callerNetworkNamespace = "socket.caller.network_namespace"
)

// unknownService is the name that the OpenTelemetry specification gives to a
// service whose name cannot be told.
const unknownService = "unknown_service"
