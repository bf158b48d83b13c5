// SPDX-License-Identifier: Apache-2.0

package sockopt

import "testing"

func TestNamesAreRemembered(t *testing.T) {
	var names Names
	for title, test := range map[string]struct {
		level, code int32
		want        Name
	}{
		"both named":     {1, 4, Name{Call: "getsockopt SO_ERROR", Level: "SOL_SOCKET", LevelNamed: true, OptionNamed: true}},
		"unknown option": {1, 9999, Name{Call: "getsockopt", Level: "SOL_SOCKET", LevelNamed: true}},
		"unknown level":  {9999, 4, Name{Call: "getsockopt", Level: "_OTHER"}},
	} {
		t.Run(title, func(t *testing.T) {
			first := names.Of(test.level, test.code, Where{})
			if names.Of(test.level, test.code, Where{}) != first {
				t.Error("it is made twice")
			}
			test.want.Option = first.Option
			if *first != test.want {
				t.Errorf("%+v, want %+v", *first, test.want)
			}
			if want, found := Lookup(test.level, test.code, Where{}); found && first.Option != want || !found && first.Option.Name == "" {
				t.Errorf("option %+v, want %+v", first.Option, want)
			}
		})
	}
}

func TestNamesAreBounded(t *testing.T) {
	var names Names
	for code := range int32(2 * namesMax) {
		names.Of(1, code, Where{})
	}
	if len(names.known) > namesMax {
		t.Errorf("%d names are remembered, want at most %d", len(names.known), namesMax)
	}
}
