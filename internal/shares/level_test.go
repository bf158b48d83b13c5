// SPDX-License-Identifier: Apache-2.0

package shares

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestLevel(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		capacity float64
		needs    []float64
		want     float64
	}{
		{10, nil, inf},
		{10, []float64{3, 7}, inf},
		{10, []float64{20}, 10},
		{10, []float64{8, 2, 8}, 4},
		{10, []float64{5, 5, 5, 5}, 2.5},
		{0, []float64{1}, 0},
		{-1, []float64{1}, 0},
		{0, []float64{0, 0}, inf},
	} {
		if got := Level(c.capacity, slices.Clone(c.needs)); got != c.want {
			t.Errorf("Level(%v, %v) = %v, want %v", c.capacity, c.needs, got, c.want)
		}
	}
}

// All of the capacity is used if it is needed, and nothing else has an influence on
// who gets what.
func TestLevelUsesTheCapacity(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		needs := make([]float64, 1+random.IntN(50))
		var sum float64
		for i := range needs {
			needs[i] = math.Exp(10 * random.NormFloat64())
			sum += needs[i]
		}
		capacity := sum * 1.2 * random.Float64()
		level := Level(capacity, needs)
		var used float64
		for _, need := range needs {
			used += min(need, level)
		}
		if want := min(capacity, sum); math.Abs(used-want) > 1e-9*want {
			t.Fatalf("%v of %v is used at the level %v of %v", used, want, level, needs)
		}
	}
}

// Owners come before groups and groups before members: those of one do not gain by their
// number.
func TestDivide(t *testing.T) {
	var d Division
	members := []Member{{0, 100}, {1, 1}, {2, 2}, {2, 50}, {2, 50}, {3, 100}}
	for range 100 {
		members = append(members, Member{3, 5})
	}
	for range 2 { // the memory of a division is used again
		// Owner 0 has the group 0 alone, owner 1 the groups 1 and 2, owner 2 the group 3.
		d.Divide(90, members, []uint32{0, 1, 1, 2}, 3)
		if d.Owner != 30 {
			t.Errorf("level of the owners %v, want 30", d.Owner)
		}
		if want := []float64{30, 29, 30}; !slices.Equal(d.Group, want) {
			t.Errorf("levels of the groups %v, want %v", d.Group, want)
		}
		if want := []float64{30, math.Inf(1), 13.5, 30. / 101}; !slices.Equal(d.Member, want) {
			t.Errorf("levels of the members %v, want %v", d.Member, want)
		}
	}
	d.Divide(1000, members[:4], []uint32{0, 1, 1}, 2)
	for _, level := range slices.Concat([]float64{d.Owner}, d.Group, d.Member) {
		if !math.IsInf(level, 1) {
			t.Errorf("a level is %v though the capacity is enough for all", level)
		}
	}
}
