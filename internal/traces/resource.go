// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"cmp"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

func putResource(to pcommon.Map, r *workload.Resource) {
	to.EnsureCapacity(len(r.Attributes))
	for i := range r.Attributes {
		if a := &r.Attributes[i]; a.IsInt {
			to.PutInt(a.Key, a.Int)
		} else {
			to.PutStr(a.Key, a.Str)
		}
	}
}

// networkNamespace returns the network namespace that a resource names, 0 if it
// names none.
func networkNamespace(r *workload.Resource) int64 {
	i, found := slices.BinarySearchFunc(r.Attributes, semconv.SocketCallerNetworkNamespace,
		func(a workload.Attribute, key string) int { return cmp.Compare(a.Key, key) })
	if !found {
		return 0
	}
	return r.Attributes[i].Int
}
