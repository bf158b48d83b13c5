// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"math"
	"slices"
	"testing"
)

func TestCountedOptions(t *testing.T) {
	for title, test := range map[string]struct{ passed, counted NumberedOption }{
		"option and level named":  {NumberedOption{1, 4}, NumberedOption{1, 4}},
		"of one family":           {NumberedOption{255, 7}, NumberedOption{255, 7}},
		"of another level's name": {NumberedOption{0, 0}, NumberedOption{0, OtherCode}}, // WPAN_WANTACK of SOL_IEEE802154
		"level alone":             {NumberedOption{1, 9999}, NumberedOption{1, OtherCode}},
		"negative option":         {NumberedOption{6, -1}, NumberedOption{6, OtherCode}},
		"neither":                 {NumberedOption{9999, 4}, NumberedOption{OtherCode, OtherCode}},
		"negative level":          {NumberedOption{-1, 4}, NumberedOption{OtherCode, OtherCode}},
		"the numbers themselves":  {NumberedOption{OtherCode, OtherCode}, NumberedOption{OtherCode, OtherCode}},
		"largest":                 {NumberedOption{math.MaxInt32, math.MaxInt32}, NumberedOption{OtherCode, OtherCode}},
	} {
		t.Run(title, func(t *testing.T) {
			if got := test.passed.Counted(); got != test.counted {
				t.Errorf("%+v is counted as %+v, want %+v", test.passed, got, test.counted)
			}
		})
	}
}

// The BPF programs know the lists, and user space the function: an exemplar is looked up
// under the numbers that the programs counted.
func TestNamedOptionsAreCountedUnderTheirNumbers(t *testing.T) {
	options, levels := NamedOptions(), NamedLevels()
	if len(options) < 600 || len(levels) < 45 {
		t.Errorf("%d options and %d levels", len(options), len(levels))
	}
	listed := make(map[NumberedOption]bool)
	for _, o := range options {
		if listed[o] {
			t.Errorf("%+v twice", o)
		}
		listed[o] = true
	}
	for level := int32(-2); level < 400; level++ {
		if got := LevelName(level, Where{}) != Other; got != slices.Contains(levels, level) {
			t.Errorf("level %d: %q, and listed: %t", level, LevelName(level, Where{}), !got)
		}
		for code := int32(-2); code < 12_000; code++ {
			o := NumberedOption{level, code}
			if got := o.Counted() == o; got != listed[o] {
				t.Errorf("%+v is counted as %+v, and listed: %t", o, o.Counted(), listed[o])
			}
		}
	}
}

// What a program invents is one name for each level that has one, and one more.
func TestInventedOptionsAreFewNames(t *testing.T) {
	var names Names
	seen := make(map[[2]string]bool)
	for level := int32(-100); level < 2000; level += 7 {
		for code := int32(-100_000); code < -90_000; code += 13 {
			n := names.Of(level, code, Where{})
			seen[[2]string{n.Level, n.Option.Name}] = true
			if n.Option.Name != Other || n.Call != "getsockopt" {
				t.Fatalf("(%d, %d): %+v", level, code, n)
			}
		}
	}
	if limit := len(NamedLevels()) + 1; len(seen) > limit {
		t.Errorf("%d names, want at most %d", len(seen), limit)
	}
}
