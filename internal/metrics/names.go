// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strconv"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// namesMax bounds the names remembered, since programs may ask for options
// that do not exist, of which there are 2^64.
const namesMax = 16384

type optionKey struct {
	level, code int32
	compat      bool
}

type optionName struct{ level, option string }

// names remembers options by their numbers from one snapshot to the next.
type names map[optionKey]optionName

func (n names) of(s *record.Series) optionName {
	key := optionKey{level: s.Level, code: s.Option}
	// socketcall is the 32-bit programs' door as well.
	key.compat = s.Entry == record.EntrySyscallCompat || s.Entry == record.EntrySocketcall
	if known, found := n[key]; found {
		return known
	}
	where := sockopt.Where{Compat: key.compat}
	name := optionName{level: sockopt.LevelName(s.Level, where)}
	if option, found := sockopt.Lookup(s.Level, s.Option, where); found {
		name.option = option.Name
	} else {
		name.option = strconv.Itoa(int(s.Option))
	}
	if len(n) >= namesMax {
		clear(n)
	}
	n[key] = name
	return name
}
