// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strings"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// MaySet reports whether a process may publish an attribute: whether it may set it in its
// environment.
func MaySet(key string) bool { return key != "" && !isReserved(key) }

// PublishedNames returns the names in the attributes that a process publishes, in the form in
// which the BPF programs have those of the environment: the name as it is, the others
// percent-encoded.
func PublishedNames(published []Attribute) (names record.PublishedNames) {
	for i := range published {
		a := &published[i]
		switch value := withoutNUL(a.Str); {
		case strings.TrimSpace(value) == "":
		case a.Key == serviceName && isUnknown(value):
		case a.Key == serviceName:
			names.Name = truncate(value, nameMax)
		case a.Key == serviceNamespace:
			names.Namespace = encodeShort(value)
		case a.Key == serviceInstanceID:
			names.InstanceID = encodeShort(value)
		}
	}
	return names
}

// isUnknown reports whether a name is the one that SDKs give services without a name.
func isUnknown(name string) bool {
	kind, _, _ := strings.Cut(name, ":")
	return kind == "unknown_service"
}

func withoutNUL(value string) string {
	value, _, _ = strings.Cut(value, "\x00")
	return value
}

// encodeShort is the inverse of decodeShort, but for blanks at the ends.
func encodeShort(value string) string {
	return dropPartialEscape(truncate(strings.ReplaceAll(strings.TrimSpace(value), "%", "%25"), shortMax), shortMax)
}

// published adds what a process publishes. The names are those of its groups.
func (b *builder) published(attributes []Attribute) {
	for _, a := range attributes {
		if !isScanned(a.Key) {
			*b = append(*b, a)
		}
	}
	own := PublishedNames(attributes)
	b.str(serviceName, own.Name)
	b.str(serviceNamespace, decodeShort(own.Namespace))
	b.str(serviceInstanceID, decodeShort(own.InstanceID))
}
