// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/shares"
)

const (
	// controlPeriod is how often shares and thresholds are adjusted under load.
	controlPeriod = 100 * time.Millisecond
	// lookPeriod is how often shares are adjusted while there are places enough. A look at
	// the counts takes their memory from the CPUs that make calls, so that the next call in
	// each series costs more.
	lookPeriod = time.Second
	// hurriedPeriod is how often shares are adjusted while newcomers take what is free.
	hurriedPeriod = 20 * time.Millisecond
	// idlePeriod is how often the load is checked without any calls: once, before the loop
	// sleeps. The BPF programs themselves bound a burst that begins meanwhile.
	idlePeriod = time.Second
	// sleepPeriod is how long the loop sleeps at most. The next call wakes it before.
	sleepPeriod = recountPeriod
	// retryPeriod is how often processes are made to look for process contexts that are
	// awaited: less than idlePeriod, so that no period of an idle host is left out.
	retryPeriod = idlePeriod - controlPeriod
	// forgetPeriod is how often processes that have ended are forgotten, so that those that
	// run keep their place.
	forgetPeriod = time.Second
	// staleAfter is for how long a series is silent before it makes way for a new one of
	// its group, if the group may not have more.
	staleAfter = 10 * time.Second
)

// reclaim divides the places among owners and groups, and takes those back that are above
// a share, so that some are always free for newcomers.
// living are the groups of processes that may still make calls, nil if that is not known.
func (p *places) reclaim(living map[uint32]bool) error {
	if living == nil && (p.used > p.limit()/2 || p.known > len(p.groups)/2) {
		var err error
		if living, err = p.livingGroups(); err != nil {
			return err
		}
	}
	if err := p.reclaimSlots(living); err != nil {
		return err
	}
	return p.reclaimGroups(living)
}

// placeOf is the place of a group or of one of its series. What has no living process goes
// before anything that has one.
func (p *places) placeOf(index uint32, o *occupant, living map[uint32]bool) shares.Place {
	place := shares.Place{Owner: p.ownerOf[index], Group: index, Idle: o.idle, New: !o.divided}
	if living != nil && !living[p.groups[index].group.ID] {
		place.Idle += maxIdle
	}
	o.divided = true
	return place
}

func (p *places) reclaimSlots(living map[uint32]bool) error {
	p.seriesPlaces, p.placeIDs = p.seriesPlaces[:0], p.placeIDs[:0]
	for id := p.firstSlot(); id < p.slotsEnd; id++ {
		if s := &p.slots[id]; s.used {
			p.seriesPlaces = append(p.seriesPlaces, p.placeOf(groupIndex(s.key.Group), &s.occupant, living))
			p.placeIDs = append(p.placeIDs, uint32(id))
		}
	}
	taken := p.seriesShares.Reclaim(p.limit(), p.seriesPlaces, p.ownerOf[:p.groupsEnd], p.ownersEnd, uint32(staleAfter.Milliseconds()), maxIdle)
	ids := make([]uint32, len(taken))
	for i, t := range taken {
		ids[i] = p.placeIDs[t]
	}
	atomic.StoreUint32(&p.shares.FairSlots, p.fairShare(p.limit(), hasSlots))
	atomic.StoreUint32(&p.shares.SlotsOfOwner, p.seriesShares.Owner)
	for owner, most := range p.seriesShares.Group {
		atomic.StoreUint32(&p.owners[owner].SlotsOfGroup, most)
	}
	return p.freeSlots(ids, true)
}

func (p *places) reclaimGroups(living map[uint32]bool) error {
	limit := len(p.groups) - 1
	p.groupPlaces, p.placeIDs = p.groupPlaces[:0], p.placeIDs[:0]
	for i := range p.groupsEnd {
		if g := &p.groups[i]; g.known {
			p.groupPlaces = append(p.groupPlaces, p.placeOf(uint32(i), &g.occupant, living))
			p.placeIDs = append(p.placeIDs, uint32(i))
		}
	}
	taken := p.groupShares.Reclaim(limit, p.groupPlaces, p.ownerOf[:p.groupsEnd], p.ownersEnd, maxIdle+uint32(staleAfter.Milliseconds()), maxIdle)
	indices := make([]uint32, len(taken))
	for i, t := range taken {
		indices[i] = p.placeIDs[t]
	}
	atomic.StoreUint32(&p.shares.FairGroups, p.fairShare(limit, hasGroups))
	atomic.StoreUint32(&p.shares.GroupsOfOwner, p.groupShares.Owner)
	return p.freeGroups(indices, true)
}

// fairShare is what each owner has if all want more. have is whether an owner has any.
func (p *places) fairShare(limit int, have func(*bpf.GetsockoptOwnerState) bool) uint32 {
	owners := 0
	for i := range p.ownersEnd {
		if have(&p.owners[i]) {
			owners++
		}
	}
	return uint32((limit - shares.Reserve(limit)) / max(1, owners))
}

func hasSlots(o *bpf.GetsockoptOwnerState) bool { return atomic.LoadUint32(&o.Slots) != 0 }

func hasGroups(o *bpf.GetsockoptOwnerState) bool { return atomic.LoadUint32(&o.Groups) != 0 }

// startControlLoop adjusts shares and thresholds to the load until stopControlLoop.
func (p *Probe) startControlLoop() {
	p.control.Go(func() {
		ticker := time.NewTicker(controlPeriod)
		defer ticker.Stop()
		last := time.Now()
		failing := false
		for {
			woken := false
			select {
			case <-p.stopLoop:
				return
			case <-p.wakeups.woken:
				woken = true
			case <-ticker.C:
			}
			// Not the time of the tick, which may be long past on a busy host.
			now := time.Now()
			if woken {
				if err := p.awake(now.Sub(last)); err != nil {
					p.options.Logger.Error("Cannot take the wakeup of a call", zap.Error(err))
				}
				ticker.Reset(controlPeriod)
				last = now
				continue
			}
			next, err := p.adjust(now.Sub(last))
			if err != nil && !failing {
				p.options.Logger.Error("Cannot adjust the shares of series and spans, keeping the last ones", zap.Error(err))
			}
			failing = err != nil
			ticker.Reset(next)
			last = now
		}
	})
}

// awake begins a period of adjustment, after the loop has slept for that long.
func (p *Probe) awake(slept time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quiet += slept
	p.recounted += slept
	p.woken = true
	return p.wakeups.drain()
}

// sleep makes the next call wake the loop, and returns how long to wait for it. The order
// counts: a call that is not among the seen ones looks again, and finds that the loop sleeps. On
// arm64, which may load the two in another order, a call can miss it.
func (p *Probe) sleep() (next time.Duration, err error) {
	atomic.StoreUint32(&p.places.shares.ControlSleeps, 1)
	atomic.AddUint32(&p.places.shares.Epoch, 1)
	if seen, err := p.readSeen(); err != nil || seen != p.seen {
		return controlPeriod, err
	}
	return p.options.sleepPeriod, nil
}

// adjust adjusts shares and thresholds to the calls since the last time, and returns when
// to do so again. Without any calls it leaves all as it is.
func (p *Probe) adjust(elapsed time.Duration) (next time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.recounted += elapsed; p.recounted >= recountPeriod {
		p.recounted = 0
		if err := p.tables.recount(); err != nil {
			return idlePeriod, err
		}
	}
	set(&p.places.shares.ControlSleeps, 0)
	p.retryContexts(elapsed)
	seen, err := p.readSeen()
	if err != nil {
		return idlePeriod, err
	}
	if seen == p.seen {
		p.quiet += elapsed
		// What woke the loop may be no call: a request of io_uring to another kind of file, or
		// one that has not ended. It must not wake the loop again and again.
		if p.quiet < idlePeriod || p.woken {
			p.woken = false
			return idlePeriod, nil
		}
		return p.sleep()
	}
	quiet := p.quiet // the controller learns of it first: it came before these calls
	p.seen, p.quiet, p.woken = seen, 0, false
	if quiet > 0 && p.places.sampled.limited {
		p.places.next(p.controller, quiet)
	}
	p.places.unlooked += quiet + elapsed
	look := p.places.unlooked >= p.places.lookAfter || p.places.scarce()
	if look {
		if err := p.places.look(p.places.unlooked); err != nil {
			return controlPeriod, err
		}
	} else if p.places.sampled.limited {
		if err := p.places.takeAllSampling(); err != nil {
			return controlPeriod, err
		}
	}
	// The controller expects periods of that length, also while shares are adjusted more often.
	if p.places.unsampled += elapsed; p.places.unsampled >= controlPeriod && p.places.sampled.limited {
		p.places.sample(p.controller, p.places.unsampled)
		p.places.unsampled = 0
	}
	var living map[uint32]bool
	if p.places.remembered += quiet + elapsed; p.places.remembered >= forgetPeriod {
		p.places.remembered = 0
		if living, err = p.places.livingGroups(); err != nil {
			return controlPeriod, err
		}
	}
	if look {
		err = p.places.reclaim(living)
		p.places.lookAfter = p.places.hurried(min(p.places.unlooked, lookPeriod))
		p.places.unlooked = 0
	}
	return min(controlPeriod, p.places.lookAfter), err
}

// hurried returns when to look again: before newcomers, who come as fast as since the last
// look, have taken a quarter of what is free for them.
func (p *places) hurried(since time.Duration) time.Duration {
	used := max(p.seriesShares.Used, p.groupShares.Used)
	return min(lookPeriod, max(hurriedPeriod, time.Duration(float64(since)/max(4*used, 1e-3))))
}

// stopControlLoop may be called again.
func (p *Probe) stopControlLoop() {
	p.stopOnce.Do(func() { close(p.stopLoop) })
	p.control.Wait()
}

// Remove frees the slots of series, and groups, that are not needed any more. It keeps
// slots that have counted calls since the last snapshot or were in none, and groups with
// slots, such calls or a living process. Keys that do not exist are ignored. After Close it
// returns an error that wraps os.ErrClosed.
func (p *Probe) Remove(series []record.SeriesKey, groups []uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("remove series: %w", os.ErrClosed)
	}
	return p.places.remove(series, groups)
}

func (p *places) remove(series []record.SeriesKey, groups []uint32) error {
	wanted := make(map[record.SeriesKey]bool, len(series))
	for _, key := range series {
		wanted[key] = true
	}
	var ids []uint32
	for id := p.firstSlot(); id < p.slotsEnd && len(wanted) > 0; id++ {
		// A program that was interrupted between taking a slot and counting its first call may
		// continue only now: a slot that was in no snapshot is not unused, but new.
		if s := &p.slots[id]; s.used && s.sent && wanted[s.key] && !p.hasCalls(uint32(id)) {
			ids = append(ids, uint32(id))
		}
	}
	if err := p.freeSlots(ids, false); err != nil || len(groups) == 0 {
		return err
	}
	living, err := p.livingGroups()
	if err != nil {
		return err
	}
	var unused []uint32
	for _, number := range groups {
		index := groupIndex(number)
		if int(index) < len(p.groups) && p.groups[index].known && p.groups[index].group.ID == number && !p.inUse(index, living) {
			unused = append(unused, index)
		}
	}
	return p.freeGroups(unused, false)
}
