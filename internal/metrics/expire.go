// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// release ends a slot, and the points that no other slot counts into.
func (b *Builder) release(key record.SeriesKey, of *slot) {
	delete(b.slots, key)
	of.group.slots--
	for _, p := range of.points {
		if p == nil {
			continue
		}
		if p.slots--; p.slots == 0 {
			b.remove(p)
		}
	}
}

// remove ends a point. What the consumer has not accepted goes to overflow. If a batch with
// the point is under way, its outcome decides on that part.
func (b *Builder) remove(p *point) {
	delete(p.of.points[p.metric], p.key)
	p.removed = true
	if p.metric == getsockoptCalls {
		b.calls.Sent -= p.now.count
	}
	rest := p.accepted
	if p.sending {
		rest = p.sent
	} else {
		b.expired(p, p.accepted)
	}
	b.move(p, p.now.minus(rest))
}

func (b *Builder) move(p *point, calls value) {
	b.addOverflow(p.of, p.metric, calls)
	if p.metric == getsockoptCalls {
		b.calls.Moved += calls.count
	}
}

func (b *Builder) expired(p *point, accepted value) {
	if p.metric == getsockoptCalls {
		b.calls.Expired += accepted.count
	}
}

// forgetGroups ends the groups that the kernel no longer has, and what is left of them.
func (b *Builder) forgetGroups(s *record.Snapshot) {
	gone := make(map[*kernelGroup]bool)
	forget := func(id uint32) {
		g := b.groups[id]
		delete(b.groups, id)
		gone[g] = true
		if g.of != nil {
			g.of.groups--
			if g.ended {
				g.of.ended--
			}
		}
	}
	for id := range b.groups {
		if _, found := s.Groups[id]; !found {
			forget(id)
		}
	}
	for _, id := range s.EvictedGroups {
		if b.groups[id] != nil {
			forget(id)
		}
	}
	if len(gone) == 0 {
		return
	}
	for key, slot := range b.slots {
		if gone[slot.group] {
			b.release(key, slot)
		}
	}
	for g := range gone {
		if r := g.of; r != nil && r.groups == 0 {
			delete(b.resources, r.id)
			for _, points := range r.points {
				for _, p := range points {
					b.remove(p)
				}
			}
		}
	}
}

// Expire ends the points that had no call for Options.Expiration, or whose process has ended,
// once the consumer has accepted their value. It returns the series and groups that the
// kernel may remove. No batch may be under way.
func (b *Builder) Expire() (series []record.SeriesKey, groups []uint32) {
	for key, slot := range b.slots {
		if b.over(slot.last, slot.group.ended) && slot.settled() {
			b.release(key, slot)
			series = append(series, key)
		}
	}
	for _, r := range b.resources {
		ended := r.groups > 0 && r.ended == r.groups
		for m := range r.points {
			p := r.points[m][pointKey{overflow: true}]
			if p != nil && b.over(p.last, ended) && p.settled(p.changed) {
				b.remove(p)
			}
		}
	}
	left := make(map[*resource]int) // groups of resources with points, which need one
	for id, g := range b.groups {
		if g.slots > 0 || !b.over(g.last, g.ended) {
			continue
		}
		if g.of != nil && !g.of.empty() {
			if _, found := left[g.of]; !found {
				left[g.of] = g.of.groups
			}
			if left[g.of] == 1 {
				continue
			}
			left[g.of]--
		}
		groups = append(groups, id)
	}
	return series, groups
}

func (b *Builder) over(last time.Duration, ended bool) bool {
	return ended || b.options.Expiration > 0 && b.uptime-last >= b.options.Expiration
}

func (s *slot) settled() bool {
	for _, p := range s.points {
		if p != nil && !p.settled(s.changed) {
			return false
		}
	}
	return true
}
