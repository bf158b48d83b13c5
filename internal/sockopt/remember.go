// SPDX-License-Identifier: Apache-2.0

package sockopt

// namesMax bounds the cache: programs may ask for options that do not exist, of which
// there are 2^64.
const namesMax = 16384

// Name is how spans and metrics name an option. It must not be changed.
type Name struct {
	Call   string // "getsockopt", followed by the option's name where it has one
	Level  string // Other where it has no name
	Option Option // its name is Other where it has none

	// Whether level and option have names.
	LevelNamed, OptionNamed bool
}

type nameKey struct {
	level, code int32
	where       Where
}

// Names caches the names of options, so that they are made once and not for each call.
// The zero value is ready to use. It is not safe for concurrent use.
type Names struct {
	known map[nameKey]*Name
}

// Of returns the name of an option.
func (n *Names) Of(level, code int32, w Where) *Name {
	key := nameKey{level: level, code: code, where: w}
	if known, found := n.known[key]; found {
		return known
	}
	name := &Name{Call: "getsockopt", Level: LevelName(level, w)}
	option, found := Lookup(level, code, w)
	if found {
		name.Call += " " + option.Name
	} else {
		option = Option{Level: level, Code: code, Name: Other}
	}
	name.Option, name.OptionNamed = option, found
	name.LevelNamed = name.Level != Other
	if n.known == nil || len(n.known) >= namesMax {
		n.known = make(map[nameKey]*Name)
	}
	n.known[key] = name
	return name
}
