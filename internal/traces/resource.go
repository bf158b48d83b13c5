// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

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
