// SPDX-License-Identifier: Apache-2.0

package report

import (
	"reflect"
	"testing"
)

func TestLineRoundTrip(t *testing.T) {
	want := Result{Case: Probe("auto", "compat"), Outcome: Failed, Detail: "two\nlines and @@ {", Cost: &Cost{Instructions: 1, Stack: 2}}
	// The kernel may have begun a line of its own.
	got, found := Parse("[    1.5] usb: " + want.Line())
	if !found || !reflect.DeepEqual(got, want) {
		t.Errorf("parsed %+v, %t, want %+v", got, found, want)
	}
	for _, line := range []string{"", "@@ ", "@@ {", "@@ {}", "reboot: Power down"} {
		if r, found := Parse(line); found {
			t.Errorf("%q parsed as %+v", line, r)
		}
	}
}
