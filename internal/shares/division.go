// SPDX-License-Identifier: Apache-2.0

package shares

import "slices"

// Member is one that needs a part of what is divided: a series.
type Member struct {
	Group uint32
	Need  float64
}

// Division divides a capacity among owners, among the groups of each and among the
// members of each group. Groups and owners are small numbers: they index the results.
// It keeps its memory for the next division.
type Division struct {
	// Owner is the level among owners, infinite if the capacity is enough for all.
	Owner float64
	// Group is the level among the groups of each owner, by owner. It is infinite if the
	// owner gets what its groups need.
	Group []float64
	// Member is the level among the members of each group, by group.
	Member []float64

	ofGroup, ofOwner []float64 // the sums of their needs
	groups           segments  // by owner
	members          segments  // by group
	needs            []float64
}

// Divide computes the levels. ownerOf has the owner of each group, below owners.
func (d *Division) Divide(capacity float64, members []Member, ownerOf []uint32, owners int) {
	d.ofGroup = resize(d.ofGroup, len(ownerOf))
	d.ofOwner = resize(d.ofOwner, owners)
	clear(d.ofGroup)
	clear(d.ofOwner)
	for _, m := range members {
		d.ofGroup[m.Group] += m.Need
	}
	for group, owner := range ownerOf {
		d.ofOwner[owner] += d.ofGroup[group]
	}

	d.needs = append(d.needs[:0], d.ofOwner...)
	d.Owner = Level(capacity, d.needs)

	d.needs = d.groups.sort(d.needs, d.ofGroup, ownerOf, owners)
	d.Group = resize(d.Group, owners)
	for owner := range d.Group {
		d.Group[owner] = Level(d.Owner, d.groups.of(d.needs, owner))
	}

	d.members.begin(len(ownerOf))
	for _, m := range members {
		d.members.count(m.Group)
	}
	d.members.place()
	d.needs = resize(d.needs, len(members))
	for _, m := range members {
		d.needs[d.members.next(m.Group)] = m.Need
	}
	d.Member = resize(d.Member, len(ownerOf))
	for group, owner := range ownerOf {
		d.Member[group] = Level(d.Group[owner], d.members.of(d.needs, group))
	}
}

// segments lays out one array as a segment for each of many parents.
type segments struct {
	ends []int // of each segment; while it is filled, where the next element goes
}

func (s *segments) begin(parents int) {
	s.ends = resize(s.ends, parents)
	clear(s.ends)
}

func (s *segments) count(parent uint32) { s.ends[parent]++ }

// place turns the counts into the begin of each segment.
func (s *segments) place() {
	begin := 0
	for parent, n := range s.ends {
		s.ends[parent] = begin
		begin += n
	}
}

// next returns the place of a parent's next element.
func (s *segments) next(parent uint32) int {
	i := s.ends[parent]
	s.ends[parent]++
	return i
}

// sort returns values in the segments of their parents, in the memory of to.
func (s *segments) sort(to, values []float64, parentOf []uint32, parents int) []float64 {
	s.begin(parents)
	for _, parent := range parentOf {
		s.count(parent)
	}
	s.place()
	to = resize(to, len(values))
	for i, parent := range parentOf {
		to[s.next(parent)] = values[i]
	}
	return to
}

// of returns the segment of a parent, once all elements are in their places.
func (s *segments) of(all []float64, parent int) []float64 {
	begin := 0
	if parent > 0 {
		begin = s.ends[parent-1]
	}
	return all[begin:s.ends[parent]]
}

func resize[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }
