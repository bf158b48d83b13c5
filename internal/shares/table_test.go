// SPDX-License-Identifier: Apache-2.0

package shares

import "math"

// table is the kernel's table of places, with its admission of newcomers.
type table struct {
	capacity  int
	places    []Place
	ownerOf   []uint32
	owners    int
	byOwner   []int
	byGroup   []int
	reclaimer Reclaimer
	gone      uint32
}

func newTable(capacity int) *table { return &table{capacity: capacity, gone: never} }

func (t *table) owner() uint32 {
	t.owners++
	t.byOwner = append(t.byOwner, 0)
	return uint32(t.owners - 1)
}

func (t *table) group(owner uint32) uint32 {
	t.ownerOf = append(t.ownerOf, owner)
	t.byGroup = append(t.byGroup, 0)
	return uint32(len(t.ownerOf) - 1)
}

// admit takes a place for a new series of a group, or none.
func (t *table) admit(group uint32) bool {
	owner := t.ownerOf[group]
	ownerMost, groupMost := math.MaxInt, math.MaxInt
	if t.reclaimer.Owner > 0 {
		ownerMost = int(t.reclaimer.Owner)
		if int(owner) < len(t.reclaimer.Group) {
			groupMost = int(t.reclaimer.Group[owner])
		}
	}
	free := t.capacity - len(t.places)
	if t.byOwner[owner] >= min(ownerMost, 8*free) || t.byGroup[group] >= min(groupMost, 8*(8*free-t.byOwner[owner])) {
		return false
	}
	t.places = append(t.places, Place{Owner: owner, Group: group, New: true})
	t.byOwner[owner]++
	t.byGroup[group]++
	return true
}

// reclaim returns how many places owners and groups lost. All others are idle for longer.
func (t *table) reclaim(stale uint32) (owners, groups []int) {
	owners, groups = make([]int, t.owners), make([]int, len(t.ownerOf))
	gone := map[int32]bool{}
	for _, i := range t.reclaimer.Reclaim(t.capacity, t.places, t.ownerOf, t.owners, stale, t.gone) {
		gone[i] = true
		p := t.places[i]
		owners[p.Owner]++
		groups[p.Group]++
		t.byOwner[p.Owner]--
		t.byGroup[p.Group]--
	}
	left := t.places[:0:0]
	for i, p := range t.places {
		if !gone[int32(i)] {
			p.Idle++
			p.New = false
			left = append(left, p)
		}
	}
	t.places = left
	return owners, groups
}

const never = math.MaxUint32
