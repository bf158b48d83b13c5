// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"net/url"
	"strings"
)

const (
	serviceNameVariable = "OTEL_SERVICE_NAME"
	attributesVariable  = "OTEL_RESOURCE_ATTRIBUTES"
)

// stringMax is the most bytes that are kept of one variable, its name included
// (SCRATCH_SLACK of bpf/maps.h, less the NUL).
const stringMax = 4095

// owned are the roots that a process may not describe itself under: what the
// kernel knows (process, container), what the Collector's own processors add
// (host), what this receiver defines (socket, syscall, tcp), what belongs to
// OpenTelemetry itself (otel), and which SDK made the data (telemetry), for no
// SDK of the process did.
var owned = []string{"process", "container", "host", "socket", "syscall", "tcp", "otel", "telemetry"}

// fromEnvironment returns what a process's OTEL_* variables say of its
// resource, the service's name excepted, and that name, empty if they do not
// say.
//
// Where a variable is set twice the first one holds, as getenv(3) has it. Where
// OTEL_RESOURCE_ATTRIBUTES is cut its last pair is not taken.
func fromEnvironment(environment []string, isCut bool) (attributes []Attribute, service string) {
	raw := lookup(environment, attributesVariable)
	if isCut {
		raw = wholePairs(raw)
	}
	for pair := range strings.SplitSeq(raw, ",") {
		key, value, found := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		if !found || key == "" || bare(key) == serviceName || bare(key) == serviceNamespace || isOwned(key) {
			continue
		}
		attributes = append(attributes, Attribute{Key: Escape(key), Str: decode(value)})
	}
	name, namespace := scan(raw)
	if namespace = decodeNamespace(namespace); namespace != "" {
		attributes = append(attributes, Attribute{Key: serviceNamespace, Str: namespace})
	}
	if own := lookup(environment, serviceNameVariable); own != "" {
		return attributes, Escape(cut(own, nameMax))
	}
	if name != "" {
		return attributes, decodeName(cut(name, nameMax))
	}
	return attributes, ""
}

func lookup(environment []string, variable string) string {
	for _, entry := range environment {
		if key, value, found := strings.Cut(entry, "="); found && key == variable {
			return value
		}
	}
	return ""
}

// scan finds the raw values of service.name and service.namespace. Of equal
// keys the last one that says anything wins, in the kernel as here. That is
// also what the SDKs make of a key given twice; the specification is silent.
func scan(attributes string) (name, namespace string) {
	for pair := range strings.SplitSeq(attributes, ",") {
		key, value, _ := strings.Cut(pair, "=")
		if value == "" {
			continue
		}
		switch bare(key) {
		case serviceName:
			name = value
		case serviceNamespace:
			namespace = value
		}
	}
	return name, namespace
}

// wholePairs drops the last pair of attributes that are cut: half a value would
// be a wrong one.
func wholePairs(attributes string) string {
	return attributes[:max(0, strings.LastIndexByte(attributes, ','))]
}

// bare takes the blanks out of a key. The kernel skips them wherever they
// stand, and a key that is not malformed has none inside.
func bare(key string) string {
	if !strings.ContainsAny(key, " \t") {
		return key
	}
	return strings.NewReplacer(" ", "", "\t", "").Replace(key)
}

// decode reads a value of OTEL_RESOURCE_ATTRIBUTES as OpenTelemetry's Go SDK
// does: white space around it goes, percent escapes are resolved ('+' is no
// space), and a value with a malformed escape is taken as it stands. (The
// specification would rather have the whole variable dropped, but the process
// then goes by a name that its own SDK does not give it.)
func decode(value string) string {
	value = strings.TrimSpace(value)
	if decoded, err := url.PathUnescape(value); err == nil {
		value = decoded
	}
	return Escape(value)
}

// decodeName decodes a service's name that was given. The kernel has taken it
// for one without decoding it, so one that is blank cannot give way to the
// executable's any more.
func decodeName(raw string) string {
	if name := decode(mend(raw, nameMax)); name != "" {
		return name
	}
	return unknownService
}

func decodeNamespace(raw string) string {
	return decode(mend(cut(raw, namespaceMax), namespaceMax))
}

// mend takes the stump of a percent escape off a value that was cut at limit.
func mend(raw string, limit int) string {
	if len(raw) < limit {
		return raw
	}
	if i := strings.LastIndexByte(raw, '%'); i >= 0 && i > len(raw)-3 {
		return raw[:i]
	}
	return raw
}

func isOwned(key string) bool {
	root, _, _ := strings.Cut(key, ".")
	for _, o := range owned {
		if root == o {
			return true
		}
	}
	return false
}
