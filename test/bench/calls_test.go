// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"testing"
)

func TestCheckOfAMode(t *testing.T) {
	const made = 1000
	for name, test := range map[string]struct {
		mode           mode
		saw            saw
		ok, isRepeated bool
	}{
		"all calls":                     {mode{hook: "tracepoint"}, saw{calls: made}, true, false},
		"a call less":                   {mode{hook: "tracepoint"}, saw{calls: made - 1}, false, false},
		"a peer, a call less":           {mode{}, saw{calls: made - 1}, true, false},
		"programs that do not count":    {mode{hook: "tracepoint"}, saw{calls: everyCall}, true, false},
		"many calls of other programs":  {mode{hook: "tracepoint"}, saw{calls: 2 * made}, false, true},
		"99 % of the spans":             {mode{all: true}, saw{calls: made, spans: 990}, true, false},
		"less than 99 % of the spans":   {mode{all: true}, saw{calls: made, spans: 989}, false, false},
		"few spans, where few are made": {mode{}, saw{calls: made, spans: 10}, true, false},
		"all series":                    {mode{series: 10}, saw{calls: made, series: 10}, true, false},
		"a series less":                 {mode{series: 10}, saw{calls: made, series: 9}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.mode.check(made, test.saw)
			if (err == nil) != test.ok || errors.Is(err, errDisturbed) != test.isRepeated {
				t.Errorf("error %v; want none: %t, want a repetition: %t", err, test.ok, test.isRepeated)
			}
		})
	}
}
