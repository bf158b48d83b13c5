// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"errors"
	"strings"
	"testing"
)

// Neither few large reads nor many small ones go on for ever.
func TestReadsOfAFileAreBounded(t *testing.T) {
	content := strings.NewReader(strings.Repeat("x", readMax/4))
	for size, most := range map[int]int{1: readMax / readLeast, readLeast: readMax / readLeast, readMax / 4: 4} {
		r := &limited{file: content, left: readMax}
		b := make([]byte, size)
		reads := 0
		for reads <= most {
			if _, err := r.ReadAt(b, 0); err != nil {
				if !errors.Is(err, errTooMuch) {
					t.Fatal(err)
				}
				break
			}
			reads++
		}
		if reads != most {
			t.Errorf("%d reads of %d bytes, want %d", reads, size, most)
		}
	}
}
