// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func TestThresholdOfProbability(t *testing.T) {
	for p, want := range map[float64]string{
		1:          "0",
		2:          "0",
		math.NaN(): "0",
		0.5:        "80000000000000",
		0.25:       "c0000000000000",
		0.75:       "40000000000000",
		0:          "ffffffffffffff",
		-1:         "ffffffffffffff",
		1e-30:      "ffffffffffffff",
	} {
		t.Run(fmt.Sprint(p), func(t *testing.T) {
			got := fmt.Sprintf("%x", Threshold(p))
			if got != want {
				t.Errorf("Threshold(%v) = %s, want %s", p, got, want)
			}
		})
	}
	for range 10000 {
		p := math.Exp(-40 * rand.Float64())
		if got := Probability(Threshold(p)); math.Abs(got-p) > max(p*math.Exp2(-15), math.Exp2(-56)) {
			t.Fatalf("probability %g became %g", p, got)
		}
	}
}
