// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"cmp"
	"slices"

	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// networkNamespace returns the network namespace of a resource, 0 if it has none.
func networkNamespace(r *workload.Resource) int64 {
	i, found := slices.BinarySearchFunc(r.Attributes, semconv.SocketCallerNetworkNamespace,
		func(a workload.Attribute, key string) int { return cmp.Compare(a.Key, key) })
	if !found {
		return 0
	}
	return r.Attributes[i].Int
}
