// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"slices"
	"testing"
)

// A layout that no option has is one that was not given to its option.
func TestEachLayoutHasAnOption(t *testing.T) {
	for l := LayoutUnknown + 1; l < layoutCount; l++ {
		if !slices.ContainsFunc(table, func(e entry) bool { return e.layout == l }) {
			t.Errorf("no option has layout %d: is it in sockoptgen/layouts.go, and the table made again?", l)
		}
	}
}
