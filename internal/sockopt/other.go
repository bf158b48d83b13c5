// SPDX-License-Identifier: Apache-2.0

package sockopt

import "math"

// Other is the name of every level, option and error that has none. A program can pass any
// number, and each name is a series.
const Other = "_OTHER"

// OtherCode is the number that stands for every level and option without a name, LEVEL_OTHER
// and OPTION_OTHER of bpf/records.h.
const OtherCode = math.MinInt32

// NumberedOption is an option as a program passes it.
type NumberedOption struct {
	Level, Code int32
}

// NamedOptions returns the options that have a name without an address family: those that
// are counted under their name. They are sorted by level and code, each once.
func NamedOptions() []NumberedOption {
	var named []NumberedOption
	for i := range table {
		o := NumberedOption{Level: table[i].level, Code: table[i].code}
		if len(named) > 0 && named[len(named)-1] == o {
			continue
		}
		if _, found := Lookup(o.Level, o.Code, Where{}); found {
			named = append(named, o)
		}
	}
	return named
}

// Counted returns the numbers under which the BPF programs count an option.
func (o NumberedOption) Counted() NumberedOption {
	if _, found := Lookup(o.Level, o.Code, Where{}); found {
		return o
	}
	o.Code = OtherCode
	if LevelName(o.Level, Where{}) == Other {
		o.Level = OtherCode
	}
	return o
}
