// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/cilium/ebpf"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/selection"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// fill writes the maps that the programs read: the freelists of series, groups, owners and
// scratch buffers, the options that have a name, the options whose values may be copied, and the selection.
func fill(c *ebpf.Collection, o *Options) error {
	first := overflowSlots * (o.GroupLimit + 1)
	for slot := first + o.SeriesLimit - 1; slot >= first; slot-- { // the lowest is taken first
		if err := c.Maps[bpf.GetsockoptMapFreeSlots].Put(nil, uint32(slot)); err != nil {
			return fmt.Errorf("fill the freelist of series: %w", err)
		}
	}
	for i := range uint32(o.GroupLimit) {
		if err := c.Maps[bpf.GetsockoptMapFreeGroups].Put(nil, i+1); err != nil {
			return fmt.Errorf("fill the freelist of groups: %w", err)
		}
		if err := c.Maps[bpf.GetsockoptMapFreeOwners].Put(nil, i+1); err != nil {
			return fmt.Errorf("fill the freelist of owners: %w", err)
		}
	}
	for buffer := range c.Maps[bpf.GetsockoptMapScratchBuffers].MaxEntries() {
		if err := c.Maps[bpf.GetsockoptMapFreeScratch].Put(nil, buffer); err != nil {
			return fmt.Errorf("fill the freelist of scratch buffers: %w", err)
		}
	}
	for _, rule := range sockopt.CopyRules() {
		key := bpf.GetsockoptCopyRuleKey{Level: rule.Level, Option: rule.Code}
		if err := c.Maps[bpf.GetsockoptMapCopyRules].Put(&key, uint32(rule.Max)); err != nil {
			return fmt.Errorf("set the copy rule for option %d at level %d: %w", rule.Code, rule.Level, err)
		}
	}
	if err := fillNames(c); err != nil {
		return err
	}
	return fillRules(c, o.Selection)
}

// fillNames writes which options and levels have a name.
func fillNames(c *ebpf.Collection) error {
	var keys []bpf.GetsockoptOptionKey
	for _, o := range sockopt.NamedOptions() {
		keys = append(keys, bpf.GetsockoptOptionKey{Level: o.Level, Option: o.Code})
	}
	for _, level := range sockopt.NamedLevels() {
		keys = append(keys, bpf.GetsockoptOptionKey{Level: level, AnyOption: 1})
	}
	for i := range keys {
		if err := c.Maps[bpf.GetsockoptMapNamedOptions].Put(&keys[i], uint8(1)); err != nil {
			return fmt.Errorf("set the name of option %d at level %d: %w", keys[i].Option, keys[i].Level, err)
		}
	}
	return nil
}

// fillRules writes the maps of the selection.
func fillRules(c *ebpf.Collection, r *selection.Rules) error {
	for i, p := range r.Patterns {
		value := bpf.GetsockoptGlobPattern{
			Next: p.Glob.Next, Stars: p.Glob.Stars, Accept: p.Glob.Accept,
			Subject: uint32(p.Subject), Rule: uint32(p.Effect),
		}
		if err := c.Maps[bpf.GetsockoptMapPatterns].Put(uint32(i), &value); err != nil {
			return fmt.Errorf("set pattern %d of the selection: %w", i, err)
		}
	}
	for o, effect := range r.Options {
		key := bpf.GetsockoptOptionKey{Level: o.Level, Option: o.Code, AnyOption: uint32(boolByte(o.Any))}
		if err := c.Maps[bpf.GetsockoptMapOptionRules].Put(&key, uint32(effect)); err != nil {
			return fmt.Errorf("set the rule for option %d at level %d: %w", o.Code, o.Level, err)
		}
	}
	for uid, effect := range r.Users {
		if err := c.Maps[bpf.GetsockoptMapUserRules].Put(uid, uint32(effect)); err != nil {
			return fmt.Errorf("set the rule for user %d: %w", uid, err)
		}
	}
	return nil
}

// bucketTables returns the tables of bpf/histogram.h: the bucket of the smallest integer
// of each step, of which an octave has sixteen, the upper bounds of the buckets, and the
// bucket of each short duration. Buckets are numbered by their slots.
func bucketTables() (first [1024]uint8, uppers [256]uint64, short [4096]uint8) {
	for i := range uppers {
		uppers[i] = math.MaxUint64
	}
	for i, bound := range histogram.Uppers() {
		uppers[bucketSlot(i)] = bound
	}
	for ns := range short {
		short[ns] = uint8(bucketSlot(histogram.Index(uint64(ns))))
	}
	for power := bits.Len(uint(len(short))) - 1; power < 64; power++ { // longer than the short ones
		for step := range 16 {
			smallest := uint64(1)<<power + uint64(step)<<(power-4)
			first[power*16+step] = uint8(bucketSlot(histogram.Index(smallest)))
		}
	}
	return first, uppers, short
}
