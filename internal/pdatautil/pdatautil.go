// SPDX-License-Identifier: Apache-2.0

package pdatautil

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// ScopeName is the instrumentation scope of every span and metric: that of the
// receiver's metadata.yaml.
const ScopeName = "github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver"

// PutScope writes the instrumentation scope. version is that of the Collector.
func PutScope(to pcommon.InstrumentationScope, version string) {
	to.SetName(ScopeName)
	to.SetVersion(version)
}

// PutStr writes an attribute, unless its value is empty: attributes without a value are
// left out.
func PutStr(to pcommon.Map, key, value string) {
	if value != "" {
		to.PutStr(key, value)
	}
}

// PutResource writes the attributes of a resource into an empty map.
func PutResource(to pcommon.Map, r *workload.Resource) {
	to.EnsureCapacity(len(r.Attributes))
	for i := range r.Attributes {
		switch a := &r.Attributes[i]; {
		case a.Other != nil:
			// It never fails for these types.
			_ = to.PutEmpty(a.Key).FromRaw(a.Other)
		case a.IsInt:
			to.PutInt(a.Key, a.Int)
		default:
			to.PutStr(a.Key, a.Str)
		}
	}
}
