// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// The most attributes that a span has, without expanded structures and Options.Always. They
// are allocated at once, before the first one is written. Most spans are of a connected
// TCP socket. The allocator rounds 17 attributes up to 704 bytes, 18 and 19 to 768, and 20 to
// 896.
const (
	attributesPlain     = 12
	attributesConnected = 17
	attributesMost      = 19
)

// attributesOf returns how many attributes to allocate for a call.
func attributesOf(c *record.Call, name *sockopt.Name) int {
	switch {
	case !c.Has(record.FlagSocket):
		return attributesPlain
	case identified(&c.Socket, transport(&c.Socket)) && name.OptionNamed && !c.Has(record.FlagPendingError):
		return attributesConnected
	}
	return attributesMost
}

// attributes collects the attributes of a span. Unlike pcommon.Map it does not look for an
// attribute of the same name each time: no attribute is written twice.
type attributes struct{ builder xpdata.MapBuilder }

func (a *attributes) ensureCapacity(n int) { a.builder.EnsureCapacity(n) }

func (a *attributes) putStr(key, value string) { a.builder.AppendEmpty(key).SetStr(value) }

func (a *attributes) putInt(key string, value int64) { a.builder.AppendEmpty(key).SetInt(value) }

// putUnlessEmpty leaves out an attribute without a value.
func (a *attributes) putUnlessEmpty(key, value string) {
	if value != "" {
		a.putStr(key, value)
	}
}

// moveTo makes the attributes those of a span, and begins with none.
func (a *attributes) moveTo(m pcommon.Map) { a.builder.UnsafeIntoMap(m) }
