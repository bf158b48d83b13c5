// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"net/url"
	"slices"
	"strings"
)

const (
	serviceNameVariable = "OTEL_SERVICE_NAME"
	attributesVariable  = "OTEL_RESOURCE_ATTRIBUTES"
)

// stringMax is the most bytes that are kept of a variable, its name included
// (SCRATCH_SLACK of bpf/scratch.h, less the NUL).
const stringMax = 4095

// reservedRoots are the namespaces of attributes that a process must not set: those that
// the receiver sets (process, container, systemd), that the Collector's processors add (host),
// that this receiver defines (socket, syscall, tcp), that belong to OpenTelemetry itself
// (otel), and that describe the SDK (telemetry), because no SDK made the data.
var reservedRoots = []string{"process", "container", "host", "socket", "syscall", "tcp", "otel", "telemetry", "systemd"}

// fromEnvironment returns the resource attributes that the OTEL_* variables of a process
// define, without service.name, and the service's name. named is whether they define one,
// which may be blank: the BPF programs do not decode it, so nothing else can replace it.
//
// If a variable is set twice the first one counts, as with getenv(3). isCut reports that
// OTEL_RESOURCE_ATTRIBUTES is truncated: its last pair is not used.
func fromEnvironment(environment []string, isCut bool) (attributes []Attribute, service string, named bool) {
	raw := lookup(environment, attributesVariable)
	if isCut {
		raw = wholePairs(raw)
	}
	for pair := range strings.SplitSeq(raw, ",") {
		key, value, found := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		if !found || key == "" || isScanned(key) || isReserved(key) {
			continue
		}
		attributes = append(attributes, Attribute{Key: Escape(key), Str: decode(value)})
	}
	own := scan(raw)
	for _, a := range []Attribute{
		{Key: serviceNamespace, Str: decodeShort(own.namespace)},
		{Key: serviceInstanceID, Str: decodeShort(own.instance)},
	} {
		if a.Str != "" {
			attributes = append(attributes, a)
		}
	}
	if variable := lookup(environment, serviceNameVariable); variable != "" {
		return attributes, Escape(truncate(variable, nameMax)), true
	}
	return attributes, decodeName(truncate(own.name, nameMax)), own.name != ""
}

func lookup(environment []string, variable string) string {
	for _, entry := range environment {
		if key, value, found := strings.Cut(entry, "="); found && key == variable {
			return value
		}
	}
	return ""
}

// scanned is the encoded values of the attributes that the BPF programs read too.
type scanned struct{ name, namespace, instance string }

func isScanned(key string) bool {
	switch withoutBlanks(key) {
	case serviceName, serviceNamespace, serviceInstanceID:
		return true
	}
	return false
}

// scan finds these attributes. If a key is given twice, the last value that is not blank
// counts, as in the BPF programs and in the SDKs; the specification does not define it.
func scan(attributes string) (own scanned) {
	for pair := range strings.SplitSeq(attributes, ",") {
		key, value, _ := strings.Cut(pair, "=")
		value = strings.TrimLeft(value, " \t")
		if value == "" {
			continue
		}
		switch withoutBlanks(key) {
		case serviceName:
			own.name = value
		case serviceNamespace:
			own.namespace = value
		case serviceInstanceID:
			own.instance = value
		}
	}
	return own
}

// wholePairs removes the last pair of truncated attributes: its value may be incomplete.
func wholePairs(attributes string) string {
	return attributes[:max(0, strings.LastIndexByte(attributes, ','))]
}

// withoutBlanks removes the blanks of a key. The BPF programs skip them anywhere in a key,
// and a valid key has none inside.
func withoutBlanks(key string) string {
	if !strings.ContainsAny(key, " \t") {
		return key
	}
	return strings.NewReplacer(" ", "", "\t", "").Replace(key)
}

// decode decodes a value of OTEL_RESOURCE_ATTRIBUTES as OpenTelemetry's Go SDK does: it
// trims white space and resolves percent escapes ('+' is not a space). A value with a
// malformed escape is used as it is. (The specification wants the whole variable to be
// discarded, but the process would then have another name than its own SDK gives it.)
func decode(value string) string {
	value = strings.TrimSpace(value)
	if decoded, err := url.PathUnescape(value); err == nil {
		value = decoded
	}
	return Escape(value)
}

func decodeName(raw string) string { return decode(dropPartialEscape(raw, nameMax)) }

// decodeShort decodes a namespace or the id of an instance.
func decodeShort(raw string) string {
	return decode(dropPartialEscape(truncate(raw, shortMax), shortMax))
}

// dropPartialEscape removes an incomplete percent escape from the end of a value that was
// truncated at limit bytes.
func dropPartialEscape(raw string, limit int) string {
	if len(raw) < limit {
		return raw
	}
	if i := strings.LastIndexByte(raw, '%'); i >= 0 && i > len(raw)-3 {
		return raw[:i]
	}
	return raw
}

func isReserved(key string) bool {
	root, _, _ := strings.Cut(key, ".")
	// Others of k8s come from the pod's own specification, but by this one processors find it.
	return key == podUID || slices.Contains(reservedRoots, root)
}
