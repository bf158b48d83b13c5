// SPDX-License-Identifier: Apache-2.0

package shares

import (
	"cmp"
	"math"
	"slices"
)

// Place is one that is taken in the kernel's table, of a series or of a group.
type Place struct {
	Owner, Group uint32
	// Idle is how long nothing came, in any unit. Who holds more than its share loses
	// the idlest places first.
	Idle uint32
	// New is whether it was taken since the last Reclaim.
	New bool
}

// Reclaimer decides which places are taken back, so that some are always free for
// newcomers, and how many each may hold from now on. It keeps its memory.
type Reclaimer struct {
	// Owner is how many places an owner may hold: its share and an eighth, so that new
	// groups of an owner that holds all its share find a place until the next Reclaim.
	Owner uint32
	// Group is how many places each of an owner's groups may hold, by owner.
	Group []uint32
	// Used is how many newcomers an owner has had since the last Reclaim, to those for which
	// places are free from now on: the most of any owner.
	Used float64

	byGroup, byOwner   []float64 // places held
	newOf              []float64 // by owner: those that are new
	needOf             []float64 // by group: those that are not gone
	groups             segments  // by owner
	needs              []float64
	most               []int // by owner: how many places a group keeps
	groupLoss, toStale []int // by group: how many places it loses at most; how many make way if they are stale
	ownerLoss          []int
	ownerToStale       []int // by owner: how many make way if they are stale
	candidates         []int32
	taken              []int32
}

// Reserve is how many of the places of a table are kept free for newcomers. That of one
// place is in use.
func Reserve(capacity int) int { return min((capacity+7)/8, capacity/2) }

// Reclaim returns the indices of the places to take back, valid until the next call.
// capacity is the number of places of the table, with those that are free. ownerOf has
// the owner of each group, below owners. In a group that holds all that it may, places
// idle for at least stale make way for new ones. Those idle for at least gone make way before
// the owner holds its share: for an eighth of it, and for twice as many as came since the last
// Reclaim, up to a half.
func (r *Reclaimer) Reclaim(capacity int, places []Place, ownerOf []uint32, owners int, stale, gone uint32) []int32 {
	r.hold(places, ownerOf, owners, gone)
	usable := float64(capacity - Reserve(capacity))
	r.needs = append(r.needs[:0], r.byOwner...)
	level := Level(usable, r.needs)
	r.needs = append(r.needs[:0], r.byOwner...)
	share := levelOfLargest(usable, r.needs)
	r.Owner = uint32(share + max(1, share/8))

	r.needs = r.groups.sort(r.needs, r.needOf, ownerOf, owners)
	r.Group = resize(r.Group, owners)
	r.ownerLoss = resize(r.ownerLoss, owners)
	r.ownerToStale = resize(r.ownerToStale, owners)
	r.most = resize(r.most, owners)
	r.Used = 0
	crowded := false
	for owner, held := range r.byOwner {
		spare := max(1, share/8, min(2*r.newOf[owner], share/2))
		r.Used = max(r.Used, r.newOf[owner]/spare)
		r.ownerToStale[owner] = max(0, int(held-(share-spare)))
		crowded = crowded || r.ownerToStale[owner] > 0
		r.ownerLoss[owner] = int(held - min(held, math.Floor(level)))
		r.most[owner] = int(levelOfLargest(share, r.groups.of(r.needs, owner)))
		// An owner with more groups than places lets new ones in as well.
		r.Group[owner] = uint32(max(1, r.most[owner]))
	}
	r.groupLoss = resize(r.groupLoss, len(ownerOf))
	r.toStale = resize(r.toStale, len(ownerOf))
	for group, owner := range ownerOf {
		held, most := int(r.byGroup[group]), r.most[owner]
		r.groupLoss[group] = max(0, held-most)
		r.toStale[group] = max(0, held-(most-max(1, most/16)))
		crowded = crowded || r.toStale[group] > 0
	}
	r.taken = r.taken[:0]
	excess := len(places) - int(usable)
	if excess <= 0 && !crowded {
		return r.taken
	}

	r.candidates = r.candidates[:0]
	for i := range places {
		p := &places[i]
		if r.ownerLoss[p.Owner] > 0 && r.aboveShare(p, gone) || r.makesWay(p, stale, gone) {
			r.candidates = append(r.candidates, int32(i))
		}
	}
	slices.SortFunc(r.candidates, func(a, b int32) int { return cmp.Compare(places[b].Idle, places[a].Idle) })
	for _, i := range r.candidates {
		p := &places[i]
		forOthers := excess > 0 && r.ownerLoss[p.Owner] > 0 && r.aboveShare(p, gone)
		if !forOthers && !r.makesWay(p, stale, gone) {
			continue
		}
		excess--
		r.ownerToStale[p.Owner]--
		r.ownerLoss[p.Owner]--
		r.groupLoss[p.Group]--
		r.toStale[p.Group]--
		r.taken = append(r.taken, i)
	}
	return r.taken
}

// aboveShare reports whether a place is above its group's share. A group has no share of what
// is gone.
func (r *Reclaimer) aboveShare(p *Place, gone uint32) bool {
	return r.groupLoss[p.Group] > 0 || p.Idle >= gone
}

// makesWay reports whether a place is taken back for new ones of its own owner or group.
func (r *Reclaimer) makesWay(p *Place, stale, gone uint32) bool {
	return r.toStale[p.Group] > 0 && p.Idle >= stale || r.ownerToStale[p.Owner] > 0 && p.Idle >= gone
}

// hold counts the places that groups and owners hold, those that groups still need, and the
// new ones.
func (r *Reclaimer) hold(places []Place, ownerOf []uint32, owners int, gone uint32) {
	r.byGroup = resize(r.byGroup, len(ownerOf))
	r.needOf = resize(r.needOf, len(ownerOf))
	r.byOwner = resize(r.byOwner, owners)
	r.newOf = resize(r.newOf, owners)
	clear(r.byGroup)
	clear(r.needOf)
	clear(r.byOwner)
	clear(r.newOf)
	for i := range places {
		if places[i].New {
			r.newOf[places[i].Owner]++
		}
		if places[i].Idle < gone {
			r.needOf[places[i].Group]++
		}
		r.byGroup[places[i].Group]++
		r.byOwner[places[i].Owner]++
	}
}

// levelOfLargest returns the level if the largest needed all of the capacity: how far it
// may grow.
func levelOfLargest(capacity float64, needs []float64) float64 {
	if len(needs) == 0 {
		return capacity
	}
	largest := 0
	for i, need := range needs {
		if need > needs[largest] {
			largest = i
		}
	}
	needs[largest] = capacity
	return min(capacity, Level(capacity, needs))
}
