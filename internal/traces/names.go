// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"strconv"

	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// namesMax bounds the names remembered, since programs may ask for options
// that do not exist, of which there are 2^64.
const namesMax = 4096

type optionKey struct {
	level, code int32
	where       sockopt.Where
}

// optionName is all that a span says of the option asked for, beside numbers.
type optionName struct {
	span   string
	level  string
	option sockopt.Option // with a decimal number for its name where it has none

	// Whether level and option have names, and not decimal numbers.
	levelNamed, named bool
}

// names remembers options by their numbers, so that a span's texts are made
// once and not for each span.
type names map[optionKey]*optionName

func (n names) of(level, code int32, where sockopt.Where) *optionName {
	key := optionKey{level: level, code: code, where: where}
	if known, found := n[key]; found {
		return known
	}
	name := &optionName{span: "getsockopt", level: sockopt.LevelName(level, where)}
	option, found := sockopt.Lookup(level, code, where)
	if found {
		name.span += " " + option.Name
	} else {
		option = sockopt.Option{Level: level, Code: code, Name: strconv.Itoa(int(code))}
	}
	name.option, name.named = option, found
	name.levelNamed = name.level != strconv.Itoa(int(level))
	if len(n) >= namesMax {
		clear(n)
	}
	n[key] = name
	return name
}
