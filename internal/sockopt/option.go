// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"cmp"
	"runtime"
	"slices"
)

// Where says what the meaning of a number or of bytes depends on beside
// (level, option): names on the family, layouts on the word size.
type Where struct {
	Family uint16 // AF_* of the socket, 0 when unknown
	Compat bool   // the caller is a 32-bit program on a 64-bit kernel
}

// Option is one socket option of the table.
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
	arch   arch   // archAny: on every architecture
	layout Layout
	name   string
}

// arch is a way to number SOL_SOCKET and its options. Most architectures take
// asm-generic/socket.h as it is; those of GOARCH that do not are listed.
type arch uint8

const (
	archAny     arch = iota
	archGeneric      // asm-generic/socket.h
	archMIPS
	archPowerPC
	archSPARC
)

// thisArch is the numbering of the machine that the calls are traced on.
var thisArch = archOf(runtime.GOARCH)

func archOf(goarch string) arch {
	switch goarch {
	case "mips", "mipsle", "mips64", "mips64le":
		return archMIPS
	case "ppc64", "ppc64le":
		return archPowerPC
	case "sparc64":
		return archSPARC
	}
	return archGeneric
}

// Lookup finds the option behind (level, code). It does not allocate.
func Lookup(level, code int32, w Where) (Option, bool) {
	return lookup(level, code, w, thisArch)
}

func lookup(level, code int32, w Where, a arch) (Option, bool) {
	// A family with a level of its own under this number knows nothing of the
	// options that others have there: 6 is SOL_L2CAP on a Bluetooth socket.
	own := ownLevel(level, w.Family) != ""
	best := -1
	for i := first(level, code); i < len(table) && table[i].level == level && table[i].code == code; i++ {
		e := &table[i]
		switch {
		case e.arch != archAny && e.arch != a:
		case e.family != 0 && e.family == w.Family:
			return e.option(), true
		case e.family == 0 && !own:
			best = i
		}
	}
	if best < 0 {
		return Option{}, false
	}
	return table[best].option(), true
}

// first is the index of the first row of (level, code), if there is one.
func first(level, code int32) int {
	i, _ := slices.BinarySearchFunc(table, entry{level: level, code: code}, func(e, t entry) int {
		return cmp.Or(cmp.Compare(e.level, t.level), cmp.Compare(e.code, t.code))
	})
	return i
}

func (e *entry) option() Option {
	return Option{Level: e.level, Code: e.code, Name: e.name, Layout: e.layout, Secret: e.layout == LayoutSecret}
}

// Find returns the options that a pair of names stands for on this
// architecture: "SOL_SOCKET" and "SO_ERROR", or with "*" in place of the second
// one all options of a level.
func Find(level, name string) []Option {
	var found []Option
	for i := range table {
		e := &table[i]
		if e.arch != archAny && e.arch != thisArch {
			continue
		}
		if (name == "*" || name == e.name) && LevelName(e.level, Where{Family: e.family}) == level {
			found = append(found, e.option())
		}
	}
	return found
}
