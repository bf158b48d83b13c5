// SPDX-License-Identifier: Apache-2.0

package traces

import "github.com/getsockopt/getsockoptreceiver/internal/workload"

// A batch's size is not measured, which would cost each span a tenth of what it
// takes to write, but bounded: what follows is the most that something takes when
// encoded, texts aside.
const (
	spanBytes      = 1280 // attributes included, without texts that the program or its system chose
	scopeBytes     = 256
	attributeBytes = 32
	escaped        = 4 // a byte that is not UTF-8 is written as \xNN
)

func resourceBytes(r *workload.Resource) int {
	bytes := scopeBytes
	for i := range r.Attributes {
		bytes += attributeBytes + len(r.Attributes[i].Key) + len(r.Attributes[i].Str)
	}
	return bytes
}
