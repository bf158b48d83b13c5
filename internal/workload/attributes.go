// SPDX-License-Identifier: Apache-2.0

package workload

import "github.com/getsockopt/getsockoptreceiver/internal/semconv"

// SchemaURL is the schema URL of the version of OpenTelemetry's semantic conventions that
// resources, spans and metrics follow: sem_conv_version of the receiver's
// metadata.yaml.
const SchemaURL = "https://opentelemetry.io/schemas/1.44.0"

// The resource attributes this package sets. All but the socket.caller.* ones
// are registered in OpenTelemetry's semantic conventions.
const (
	serviceName       = semconv.ServiceName
	serviceNamespace  = semconv.ServiceNamespace
	serviceInstanceID = semconv.ServiceInstanceID

	processPID            = semconv.ProcessPID
	processParentPID      = semconv.ProcessParentPID
	processVPID           = semconv.ProcessVPID
	processExecutableName = semconv.ProcessExecutableName
	processExecutablePath = semconv.ProcessExecutablePath
	processCreationTime   = semconv.ProcessCreationTime
	processUserID         = semconv.ProcessUserID
	processRealUserID     = semconv.ProcessRealUserID
	processLinuxCgroup    = semconv.ProcessLinuxCgroup

	containerID     = semconv.ContainerID
	podUID          = semconv.K8SPodUID
	systemdUnitName = semconv.SystemdUnitName

	callerPIDNamespace     = semconv.SocketCallerPIDNamespace
	callerMountNamespace   = semconv.SocketCallerMountNamespace
	callerNetworkNamespace = semconv.SocketCallerNetworkNamespace
)
