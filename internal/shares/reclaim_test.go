// SPDX-License-Identifier: Apache-2.0

package shares

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// A newcomer within its fair share has its places at once, whatever the others hold and
// go on to take; who holds less than a fair share loses nothing; and the reserve is
// restored each time.
func TestNewcomersHavePlaces(t *testing.T) {
	for _, capacity := range []int{16, 100, 2000} {
		for name, flood := range map[string]func(tb *table) func(){
			"one service": func(tb *table) func() {
				group := tb.group(tb.owner())
				return func() { tb.admit(group) }
			},
			"many services of one cgroup": func(tb *table) func() {
				owner := tb.owner()
				return func() { tb.admit(tb.group(owner)) }
			},
			"three cgroups": func(tb *table) func() {
				groups := []uint32{tb.group(tb.owner()), tb.group(tb.owner()), tb.group(tb.owner())}
				return func() {
					for _, group := range groups {
						tb.admit(group)
					}
				}
			},
		} {
			t.Run(fmt.Sprintf("%d places, %s", capacity, name), func(t *testing.T) {
				tb := newTable(capacity)
				floods := flood(tb)
				var small []uint32
				for round := range 50 {
					for range capacity {
						floods()
					}
					if len(small) < capacity/16 && round%2 == 1 {
						group := tb.group(tb.owner())
						small = append(small, group)
						if !tb.admit(group) {
							t.Fatalf("round %d: a new cgroup has no place, %d of %d are free", round, capacity-len(tb.places), capacity)
						}
					}
					_, lost := tb.reclaim(never)
					for _, group := range small {
						if lost[group] > 0 {
							t.Fatalf("round %d: a cgroup with one place lost it", round)
						}
					}
					if free := capacity - len(tb.places); free < Reserve(capacity) {
						t.Fatalf("round %d: %d of %d places are free", round, free, capacity)
					}
				}
			})
		}
	}
}

// A cgroup that holds all that it may still has places for its other services.
func TestNewServicesOfAFullCgroupHavePlaces(t *testing.T) {
	for _, capacity := range []int{16, 100, 2000} {
		for _, rival := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d places, rival %v", capacity, rival), func(t *testing.T) {
				tb := newTable(capacity)
				noisy := tb.owner()
				noisyGroup, rivalGroup := tb.group(noisy), tb.group(tb.owner())
				var small []uint32
				for round := range 30 {
					for range capacity {
						tb.admit(noisyGroup)
						if rival {
							tb.admit(rivalGroup)
						}
					}
					if len(small) < capacity/16 && round > 2 {
						group := tb.group(noisy)
						small = append(small, group)
						if !tb.admit(group) {
							t.Fatalf("round %d: a new service has no place: %d of the cgroup, %d of the service that floods, %d may be, %d free",
								round, tb.byOwner[noisy], tb.byGroup[noisyGroup], tb.reclaimer.Owner, capacity-len(tb.places))
						}
					}
					_, lost := tb.reclaim(never)
					for _, group := range small {
						if lost[group] > 0 {
							t.Fatalf("round %d: a service with one place lost it", round)
						}
					}
				}
			})
		}
	}
}

// Nor does it matter that they are more than its places.
func TestNewServicesAmongTooManyHavePlaces(t *testing.T) {
	tb := newTable(100)
	owner := tb.owner()
	for range 20 {
		for range 200 {
			tb.admit(tb.group(owner))
		}
		tb.reclaim(never)
		if !tb.admit(tb.group(owner)) {
			t.Fatalf("a new service has no place: %d of the cgroup, %d may be", tb.byOwner[owner], tb.reclaimer.Owner)
		}
	}
}

// Who is alone may hold all but the reserve, and gives way to others until each has its
// share; each gets what others leave.
func TestSharesFollowTheNeeds(t *testing.T) {
	tb := newTable(1000)
	one, two := tb.group(tb.owner()), tb.group(tb.owner())
	fill := func(groups ...uint32) {
		for range 10 {
			for range 1000 {
				for _, group := range groups {
					tb.admit(group)
				}
			}
			tb.reclaim(never)
		}
	}
	fill(one)
	if tb.byGroup[one] != 875 {
		t.Errorf("one alone holds %d of 1000, want all but the reserve, 875", tb.byGroup[one])
	}
	fill(one, two)
	if a, b := tb.byGroup[one], tb.byGroup[two]; a+b < 800 || max(a, b)-min(a, b) > 80 {
		t.Errorf("two that need all hold %d and %d", a, b)
	}
	quarter := tb.group(tb.owner())
	for range 10 {
		for range 20 {
			if !tb.admit(quarter) {
				t.Errorf("one that needs less than a third has no place: it holds %d", tb.byGroup[quarter])
			}
		}
		fill(one, two)
	}
	if tb.byGroup[quarter] != 200 {
		t.Errorf("one that needed 200 holds %d", tb.byGroup[quarter])
	}
}

// The idlest places of those above their share are taken first.
func TestTheIdlestAreTaken(t *testing.T) {
	tb := newTable(100)
	group, other := tb.group(tb.owner()), tb.group(tb.owner())
	for range 60 {
		tb.admit(group)
	}
	for range 40 {
		tb.admit(other)
	}
	for i := range tb.places {
		tb.places[i].Idle = uint32(i * 7 % 61)
	}
	var least uint32 = never
	taken := map[int32]bool{}
	for _, i := range tb.reclaimer.Reclaim(100, tb.places, tb.ownerOf, tb.owners, never, never) {
		taken[i] = true
		least = min(least, tb.places[i].Idle)
		if tb.places[i].Group != group {
			t.Errorf("a place of the owner below its share was taken")
		}
	}
	if want := len(tb.places) - (100 - Reserve(100)); len(taken) != want {
		t.Errorf("%d places were taken, want %d", len(taken), want)
	}
	for i, p := range tb.places {
		if p.Group == group && !taken[int32(i)] && p.Idle > least {
			t.Errorf("a place idle for %d stayed, one idle for %d was taken", p.Idle, least)
		}
	}
}

// In a service that holds all that it may, new series take the places of those that are
// stale, and of no others.
func TestStalePlacesMakeWay(t *testing.T) {
	tb := newTable(160)
	group := tb.group(tb.owner())
	fill := func() {
		for tb.admit(group) {
		}
	}
	for range 5 {
		fill()
		tb.reclaim(never)
	}
	for i := range tb.places {
		tb.places[i].Idle = 0
		if i < 5 {
			tb.places[i].Idle = 100
		}
	}
	if tb.admit(group) {
		t.Fatal("the service does not hold all that it may")
	}
	before := len(tb.places)
	tb.reclaim(50)
	if got := before - len(tb.places); got != 5 {
		t.Errorf("%d places made way, want the 5 that are stale", got)
	}
	if !tb.admit(group) {
		t.Error("a new series has no place after stale ones made way")
	}
}

// Whatever the table holds: no owner loses what it needs of its share, and no more
// than needed is taken.
func TestReclaimTakesTheExcess(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 1))
	var r Reclaimer
	for range 500 {
		capacity := 1 + random.IntN(300)
		owners := 1 + random.IntN(8)
		ownerOf := make([]uint32, 1+random.IntN(30))
		for group := range ownerOf {
			ownerOf[group] = uint32(random.IntN(owners))
		}
		places := make([]Place, random.IntN(capacity+1))
		held := make([]float64, owners)
		for i := range places {
			group := uint32(float64(len(ownerOf)) * math.Pow(random.Float64(), 3))
			places[i] = Place{Owner: ownerOf[group], Group: group, Idle: random.Uint32N(100)}
			held[ownerOf[group]]++
		}
		lost, needed := make([]float64, owners), make([]bool, owners)
		taken := map[int32]bool{}
		gone := uint32(never)
		if random.IntN(2) == 0 {
			gone = 50
		}
		for _, i := range r.Reclaim(capacity, places, ownerOf, owners, never, gone) {
			if taken[i] {
				t.Fatal("a place is taken twice")
			}
			taken[i] = true
			lost[places[i].Owner]++
			needed[places[i].Owner] = needed[places[i].Owner] || places[i].Idle < gone
		}
		usable := capacity - Reserve(capacity)
		if want := max(0, len(places)-usable); len(taken) < want || gone == never && len(taken) != want {
			t.Errorf("%d of %d places of %d are taken, want %d", len(taken), len(places), capacity, want)
		}
		needs := append([]float64(nil), held...)
		share := math.Floor(Level(float64(usable), needs))
		for owner := range held {
			if needed[owner] && held[owner]-lost[owner] < share {
				t.Errorf("an owner keeps %v of %v places, its share is %v", held[owner]-lost[owner], held[owner], share)
			}
		}
	}
}

// Places of groups are divided among owners alone: each owner is a group of its own.
func TestGroupsAmongOwners(t *testing.T) {
	var r Reclaimer
	var places []Place
	for i := range uint32(1000) {
		places = append(places, Place{Owner: 0, Group: 0, Idle: i})
	}
	for i := range uint32(10) {
		places = append(places, Place{Owner: 1 + i, Group: 1 + i, Idle: 5000})
	}
	identity := make([]uint32, 11)
	for i := range identity {
		identity[i] = uint32(i)
	}
	for _, i := range r.Reclaim(1023, places, identity, len(identity), never, never) {
		if places[i].Owner != 0 {
			t.Errorf("owner %d lost its only group", places[i].Owner)
		}
	}
	if r.Owner < 800 || r.Owner > 1000 {
		t.Errorf("an owner may have %d of 1023 groups while others have 10", r.Owner)
	}
}

// What is gone makes way, the idlest first, before an owner holds all that it may: a
// newcomer finds a place although its owner had so many others before. What is not gone stays.
func TestGoneMakesWayForItsOwner(t *testing.T) {
	const capacity, gone = 1023, 1 << 30
	var places []Place
	for i := range uint32(895) {
		p := Place{Group: i, Idle: i}
		if i%10 != 0 {
			p.Idle += gone
		}
		places = append(places, p)
	}
	for i := range uint32(10) {
		places = append(places, Place{Owner: 1, Group: 895 + i, Idle: gone + 5000})
	}
	ownerOf := make([]uint32, len(places))
	for i := range places {
		ownerOf[i] = places[i].Owner
	}
	var r Reclaimer
	taken := r.Reclaim(capacity, places, ownerOf, 2, never, gone)
	if held, share := 895-len(taken), capacity-Reserve(capacity)-10; held > share-share/8 || held < share-share/8-1 {
		t.Errorf("an owner keeps %d places, its share is %d", held, share)
	}
	for _, i := range taken {
		if p := places[i]; p.Owner != 0 || p.Idle < gone+700 {
			t.Errorf("%+v is taken", p)
		}
	}
	if taken := r.Reclaim(capacity, places[:700], ownerOf[:700], 2, never, gone); len(taken) > 0 {
		t.Errorf("%d places of 700 are taken", len(taken))
	}
}

// What is gone needs no share: a new service may have as many series as if it had never been.
func TestGoneHasNoShare(t *testing.T) {
	const capacity, gone = 2000, 1 << 30
	places, ownerOf := make([]Place, 0, capacity), make([]uint32, 450)
	for group := range uint32(440) {
		for range 4 {
			places = append(places, Place{Group: group, Idle: gone})
		}
	}
	var r Reclaimer
	taken := r.Reclaim(capacity, places, ownerOf, 1, never, gone)
	if most, free := int(r.Group[0]), capacity-len(places)+len(taken); most < free {
		t.Errorf("a new service may have %d series, %d are free", most, free)
	}
}

// Services that end at once, of one owner: however fast they come, up to a third of the table
// between two Reclaims, each has its place from the third round on, and so has a newcomer of
// another owner. What is gone stays while few come.
func TestShortLivedServicesHavePlaces(t *testing.T) {
	for _, capacity := range []int{100, 1023, 2000} {
		for _, each := range []int{capacity / 25, capacity / 8, capacity / 3} {
			for _, series := range []int{1, 4} {
				t.Run(fmt.Sprintf("%d places, %d services a round, %d series each", capacity, each/series, series), func(t *testing.T) {
					tb := newTable(capacity)
					tb.gone = 1 // all that is not of this round
					owner, other := tb.owner(), tb.owner()
					for round := range 40 {
						for range each / series {
							group := tb.group(owner)
							for range series {
								if !tb.admit(group) && round > 2 {
									t.Fatalf("round %d: no place, %d of %d are taken", round, len(tb.places), capacity)
								}
							}
						}
						if round%8 == 7 && !tb.admit(tb.group(other)) {
							t.Fatalf("round %d: a newcomer of another owner has no place", round)
						}
						tb.reclaim(never)
						if used := tb.reclaimer.Used; round > 2 && used > 1 {
							t.Errorf("round %d: newcomers have used %.2f of what was free for them", round, used)
						}
					}
					if each == capacity/25 && len(tb.places) < capacity*2/3 {
						t.Errorf("%d places of %d are in use: what is gone made way without need", len(tb.places), capacity)
					}
				})
			}
		}
	}
}

// large is a full table of many owners, with nothing to take or with what a flood brings.
func large(capacity, free int) ([]Place, []uint32, int) {
	owners := capacity / 50
	ownerOf := make([]uint32, capacity/10)
	for group := range ownerOf {
		ownerOf[group] = uint32(group % owners)
	}
	places := make([]Place, capacity-free)
	for i := range places {
		group := uint32(i % len(ownerOf))
		places[i] = Place{Owner: ownerOf[group], Group: group, Idle: uint32(i * 7919 % 1000)}
	}
	return places, ownerOf, owners
}

func TestReclaimAllocatesNothing(t *testing.T) {
	places, ownerOf, owners := large(2000, 10)
	var r Reclaimer
	r.Reclaim(2000, places, ownerOf, owners, never, never)
	if n := testing.AllocsPerRun(10, func() { r.Reclaim(2000, places, ownerOf, owners, never, never) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReclaim(b *testing.B) {
	for _, capacity := range []int{2000, 100_000} {
		for name, free := range map[string]int{"nothing": capacity / 4, "excess": 0} {
			b.Run(fmt.Sprintf("%s of %d", name, capacity), func(b *testing.B) {
				places, ownerOf, owners := large(capacity, free)
				var r Reclaimer
				b.ReportAllocs()
				for b.Loop() {
					r.Reclaim(capacity, places, ownerOf, owners, never, never)
				}
			})
		}
	}
}

// The smallest tables are of use: what fills them is not taken back at once.
func TestReclaimOfSmallTables(t *testing.T) {
	for capacity := 1; capacity <= 20; capacity++ {
		var r Reclaimer
		places := make([]Place, capacity-Reserve(capacity))
		if len(places) == 0 {
			t.Errorf("of %d places none is of use", capacity)
		}
		if taken := r.Reclaim(capacity, places, []uint32{0}, 1, 10, never); len(taken) != 0 || r.Owner == 0 || r.Group[0] == 0 {
			t.Errorf("of %d places, %d of %d in use are taken back; an owner may have %d, a group %d", capacity, len(taken), len(places), r.Owner, r.Group[0])
		}
	}
}
