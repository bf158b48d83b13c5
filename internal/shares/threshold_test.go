// SPDX-License-Identifier: Apache-2.0

package shares

import (
	"math/rand/v2"
	"testing"
)

// However much owners take and give back, a newcomer finds something free, and nobody gets
// what another one holds.
func TestThresholdLeavesSomethingFree(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, threshold := range []Threshold{{8192, 2}, {2048, 2}, {512, 2}, {31, 2}, {16, 1}} {
		// Each owner leaves a part of what the others have left.
		owners := 0
		for left := threshold.Size / (threshold.Ratio + 1); left > 0; left /= threshold.Ratio + 1 {
			owners++
			held, used := make([]int, owners), 0
			for range 20 * threshold.Size {
				owner := random.IntN(owners)
				switch {
				case random.IntN(8) == 0 && held[owner] > 0:
					held[owner]--
					used--
				case threshold.Allows(held[owner], used):
					held[owner]++
					used++
				}
				if used >= threshold.Size || !threshold.Allows(0, used) {
					t.Fatalf("%+v: %v of %d owners leaves a newcomer nothing", threshold, held, owners)
				}
			}
		}
		if owners < 3 {
			t.Errorf("%+v: %d owners take all", threshold, owners)
		}
		alone := 0
		for threshold.Allows(alone, alone) {
			alone++
		}
		if most := threshold.Size * threshold.Ratio / (threshold.Ratio + 1); alone < most || alone > most+1 {
			t.Errorf("%+v: an owner alone holds %d, want %d", threshold, alone, most)
		}
	}
}
