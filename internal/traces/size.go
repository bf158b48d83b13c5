// SPDX-License-Identifier: Apache-2.0

package traces

import "github.com/getsockopt/getsockoptreceiver/internal/workload"

// The size of a batch is estimated by upper bounds, because measuring it would make each
// span a tenth more expensive. These are the most bytes of the encoded parts, without
// texts of variable length.
const (
	spanBytes      = 1280 // with attributes, without texts chosen by the program or its system
	scopeBytes     = 256
	attributeBytes = 32
	escaped        = 4 // a byte that is not UTF-8 is written as \xNN
)

func resourceBytes(r *workload.Resource) int {
	bytes := scopeBytes
	for i := range r.Attributes {
		a := &r.Attributes[i]
		bytes += attributeBytes + len(a.Key) + len(a.Str) + otherBytes(a.Other)
	}
	return bytes
}

// otherBytes bounds the size of a value that is not a string or a number of its own.
func otherBytes(value any) int {
	bytes := attributeBytes
	switch v := value.(type) {
	case nil:
		return 0
	case string:
		bytes += len(v)
	case []byte:
		bytes += len(v)
	case []any:
		for _, element := range v {
			bytes += attributeBytes + otherBytes(element)
		}
	case map[string]any:
		for key, element := range v {
			bytes += attributeBytes + len(key) + otherBytes(element)
		}
	}
	return bytes
}
