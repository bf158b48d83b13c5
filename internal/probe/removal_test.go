// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// removeKnown takes a snapshot, and removes every series and group that is known then.
func removeKnown(t *testing.T, p *Probe) record.Snapshot {
	t.Helper()
	s, err := p.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	addTotal(t, p, &s)
	p.mu.Lock()
	slots, _ := inUse(p)
	var keys []record.SeriesKey
	for _, id := range slots {
		keys = append(keys, p.places.slots[id].key)
	}
	p.mu.Unlock()
	if err := p.Remove(keys, slices.Collect(maps.Keys(s.Groups))); err != nil {
		t.Fatal(err)
	}
	return s
}

// inUse returns the slots and the groups that are in use, as of the last look. The caller
// holds p.mu.
func inUse(p *Probe) (slots, groups []uint32) {
	for i := range p.places.slots {
		if p.places.slots[i].used {
			slots = append(slots, uint32(i))
		}
	}
	for i := range p.places.groups {
		if p.places.groups[i].known {
			groups = append(groups, uint32(i))
		}
	}
	return slots, groups
}

// Whatever is removed at any moment: each call is counted once, under its own name.
func TestRemovalLosesNoCall(t *testing.T) {
	for _, hook := range working(t) {
		t.Run(hook, func(t *testing.T) {
			p := open(t, Options{Hook: hook})
			p.Complete()
			removals := 0
			made := callWhile(t, func() {
				removeKnown(t, p)
				removals++
			})
			s := snapshot(t, p)
			named, overflow := checkWitnesses(t, s)
			missing := mayMiss(&s, hook)
			for service, n := range made {
				if named[service] > n || n-named[service] > missing {
					t.Errorf("%s: %d calls counted, %d made", service, named[service], n)
				}
			}
			if overflow != 0 {
				t.Errorf("%d calls in overflows", overflow)
			}
			var generations uint32
			for i := range p.places.tables.groups {
				generations += p.places.tables.groups[i].Number >> groupIndexBits
			}
			if generations == 0 || removals == 0 {
				t.Errorf("%d groups freed in %d rounds, so nothing was tested", generations, removals)
			}
			t.Logf("%d groups freed in %d rounds", generations, removals)
			if mayMiss(&s, hook) == 0 {
				checkAccounting(t, p)
			}
		})
	}
}

// A program takes a slot before it counts the first call there, and may be interrupted between
// the two. The slot stays until a snapshot has had its calls.
func TestRemovalKeepsSlotsWithoutTheirFirstCall(t *testing.T) {
	p := open(t, Options{})
	p.stopControlLoop()
	call := func() { caller.Run(t, caller.Command(t, "loop:10", "OTEL_SERVICE_NAME=interrupted")) }
	slots := func() []uint32 {
		p.mu.Lock()
		defer p.mu.Unlock()
		if err := p.places.look(0); err != nil {
			t.Fatal(err)
		}
		used, _ := inUse(p)
		return slices.DeleteFunc(used, func(id uint32) bool {
			return p.places.groups[p.places.groupOf(id)].group.Name != "interrupted"
		})
	}
	call()
	before := slots()
	if len(before) == 0 {
		t.Fatal("no series has a slot")
	}
	for _, id := range before { // as if none was counted yet
		p.places.take(id, &record.Series{Buckets: make([]uint64, histogram.Buckets)})
	}
	removeKnown(t, p)
	if after := slots(); !slices.Equal(after, before) {
		t.Errorf("slots %v are in use, want %v", after, before)
	}
	call()
	if named, _ := callsByName(removeKnown(t, p)); named["interrupted"] != 10 {
		t.Errorf("calls %v, want 10 under the name", named)
	}
	if after := slots(); len(after) != 0 {
		t.Errorf("slots %v are in use, want none", after)
	}
}

// Places are taken from series and groups that are in use: calls go to the overflow
// meanwhile, never to another name.
func TestEvictionLosesNoCall(t *testing.T) {
	for _, hook := range hooksToRepeat(t) {
		t.Run(hook, func(t *testing.T) {
			p := open(t, Options{Hook: hook})
			p.Complete()
			evictions := 0
			made := callWhile(t, func() {
				if rand.IntN(2) == 0 { // what was never in a snapshot loses its name
					snapshot(t, p)
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				if err := p.places.look(0); err != nil {
					t.Fatal(err)
				}
				slots, groups := inUse(p)
				slots = slices.DeleteFunc(slots, func(uint32) bool { return rand.IntN(2) != 0 })
				groups = slices.DeleteFunc(groups, func(uint32) bool { return rand.IntN(4) != 0 })
				if err := p.places.freeSlots(slots, true); err != nil {
					t.Fatal(err)
				}
				if err := p.places.freeGroups(groups, true); err != nil {
					t.Fatal(err)
				}
				evictions += len(groups)
			})
			s := snapshot(t, p)
			named, overflow := checkWitnesses(t, s)
			for service, n := range made {
				if named[service] > n {
					t.Errorf("%s: %d calls counted, %d made", service, named[service], n)
				}
			}
			if got, want := counted(s), total64(made); got > want || want-got > mayMiss(&s, p.Hook()) {
				t.Errorf("%d calls counted, %d made", got, want)
			}
			if evictions == 0 || total64(named) == 0 {
				t.Errorf("%d groups freed, %d calls under their names", evictions, total64(named))
			}
			t.Logf("%d groups freed, %d of %d calls in overflows", evictions, overflow, counted(s))
			if mayMiss(&s, p.Hook()) == 0 {
				checkAccounting(t, p)
			}
		})
	}
}

// freeAll takes the places of all groups, and of their series. It returns how many groups
// there were.
func freeAll(t *testing.T, p *Probe) int {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.places.look(0); err != nil {
		t.Fatal(err)
	}
	_, groups := inUse(p)
	if err := p.places.freeGroups(groups, true); err != nil {
		t.Fatal(err)
	}
	return len(groups)
}

// A call, or a request, that is under way while its group is given to others counts under
// none of their names, and its program has its own name again afterwards.
func TestCallUnderWayWhileItsGroupIsFreed(t *testing.T) {
	const calls, groups, rounds = 5, 3, 3
	for _, script := range []string{"blocked", "late"} {
		if script == "late" && !uringPossible(t) {
			continue
		}
		for _, hook := range working(t) {
			t.Run(script+"/"+hook, func(t *testing.T) {
				p := open(t, Options{Hook: hook, GroupLimit: groups})
				p.stopControlLoop() // which takes the third of three groups back
				if script == "late" {
					p.Complete()
				}
				want := map[string]uint64{"first": 2 * calls}
				var unnamed uint64 = 1
				switch {
				case script == "late" && functionsTraced(hook): // they are seen when they run
					want["first"], unnamed = calls, 0
				case script == "late":
					want, unnamed = map[string]uint64{}, calls
				}
				end := holder(t, caller.Command(t, fmt.Sprintf("%s:%d", script, calls), "OTEL_SERVICE_NAME=first"))
				snapshot(t, p)
				freed := 0
				for range rounds {
					for i := range groups {
						freed += freeAll(t, p)
						caller.Run(t, caller.Command(t, "loop:10", fmt.Sprintf("OTEL_SERVICE_NAME=other-%d", i)))
						unnamed += 10 // no snapshot has their names
					}
				}
				// Requests of traced functions have a group only once they run.
				if freed += freeAll(t, p); freed < rounds*groups {
					t.Errorf("%d groups were freed, want at least %d", freed, rounds*groups)
				}
				for i := range groups - 1 {
					service := fmt.Sprintf("last-%d", i)
					caller.Run(t, caller.Command(t, "loop:10", "OTEL_SERVICE_NAME="+service))
					want[service] = 10
				}
				end()
				named, overflow := callsByName(snapshot(t, p))
				if !maps.Equal(named, want) || overflow != unnamed {
					t.Errorf("calls %v, and %d in overflows, want %v and %d", named, overflow, want, unnamed)
				}
				checkAccounting(t, p)
			})
		}
	}
}

// A series that loses its place before metrics knew it leaves its calls to the overflow of
// its group. Only if the group is gone as well they have no name.
func TestSeriesOfANewGroupLeaveTheirName(t *testing.T) {
	for name, freed := range map[string]bool{"group stays": false, "group is gone": true} {
		t.Run(name, func(t *testing.T) {
			p := open(t, Options{})
			script, service := witness(0)
			caller.Run(t, caller.Command(t, script+":10", "OTEL_SERVICE_NAME="+service))
			p.mu.Lock()
			defer p.mu.Unlock()
			if err := p.places.look(0); err != nil {
				t.Fatal(err)
			}
			slots, groups := inUse(p)
			if err := p.places.freeSlots(slots, true); err != nil {
				t.Fatal(err)
			}
			want := map[string]uint64{service: 40}
			if freed {
				if err := p.places.freeGroups(groups, true); err != nil {
					t.Fatal(err)
				}
				want = map[string]uint64{}
			}
			p.places.takeAll()
			var s record.Snapshot
			p.places.deliver(&s)
			if named, overflow := checkWitnesses(t, s); named[service] != want[service] || overflow < 40 {
				t.Errorf("%v have a name, %d are in overflows; want %v of 40", named, overflow, want)
			}
		})
	}
}
