// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"cmp"
	"slices"
)

// Where is the context of a call that names and layouts depend on in addition to
// level and option: names depend on the family, layouts on the word size.
type Where struct {
	Family uint16 // AF_* of the socket, 0 when unknown
	Compat bool   // the caller is a 32-bit program on a 64-bit kernel
}

// Option is one socket option of Linux, numbered as in asm-generic/socket.h.
type Option struct {
	Level  int32
	Code   int32
	Name   string // as a programmer writes it: SO_RCVTIMEO, TCP_INFO
	Layout Layout // how the bytes of its value are laid out
	Secret bool   // the value is, or holds, key material
}

// entry is a row of the generated table, sorted by level and code.
type entry struct {
	level  int32
	code   int32
	family uint16 // 0: whatever the family
	layout Layout
	name   string
}

// Lookup returns the option with a level and a code. An option that one family alone has
// at a level of all families is found without a family, too. It does not allocate, and is
// safe for concurrent use.
func Lookup(level, code int32, w Where) (Option, bool) {
	// A family with its own level under this number has none of the options that
	// other families have there: 6 is SOL_L2CAP on a Bluetooth socket.
	own := ownLevel(level, w.Family) != ""
	best := -1
	for i := first(level, code); i < len(table) && table[i].level == level && table[i].code == code; i++ {
		e := &table[i]
		switch {
		case e.family != 0 && e.family == w.Family:
			return e.option(), true
		case e.family == 0 && !own, w.Family == 0 && ownLevel(e.level, e.family) == "":
			best = i
		}
	}
	if best < 0 {
		return Option{}, false
	}
	return table[best].option(), true
}

// first returns the index of the first row of (level, code), if there is one.
func first(level, code int32) int {
	i, _ := slices.BinarySearchFunc(table, entry{level: level, code: code}, func(e, t entry) int {
		return cmp.Or(cmp.Compare(e.level, t.level), cmp.Compare(e.code, t.code))
	})
	return i
}

func (e *entry) option() Option {
	return Option{Level: e.level, Code: e.code, Name: e.name, Layout: e.layout, Secret: e.layout == LayoutSecret}
}

// Find returns the options with a pair of names: "SOL_SOCKET" and "SO_ERROR". The name
// "*" returns all options of the level. It returns nil if there are none.
func Find(level, name string) []Option {
	var found []Option
	for i := range table {
		e := &table[i]
		if (name == "*" || name == e.name) && LevelName(e.level, Where{Family: e.family}) == level {
			found = append(found, e.option())
		}
	}
	return found
}
