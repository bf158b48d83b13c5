// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// counterSlots and firstBucket are COUNTER_SLOTS and HISTOGRAM_FIRST of
// bpf/records.h.
const (
	counterSlots = 64
	firstBucket  = 28
)

// bucketSlot returns the slot of a bucket in a series, bucket_slot of bpf/histogram.h.
func bucketSlot(bucket int) int {
	return (bucket + histogram.Buckets - firstBucket) % histogram.Buckets
}

// Snapshot reads everything that the BPF programs count. Calls continue meanwhile: each
// number is consistent and never decreases, but numbers are not of the same instant. With
// GroupByProcess it also removes the groups of processes that have exited. After Close it
// returns an error that wraps os.ErrClosed.
func (p *Probe) Snapshot() (record.Snapshot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var s record.Snapshot
	if p.closed {
		return s, fmt.Errorf("read the series: %w", os.ErrClosed)
	}
	var err error
	if s.Series, _, err = p.readSeries(); err != nil {
		return s, err
	}
	// Groups after series: the group of a series is in the table before the series.
	if err = p.readGroups(s.Series); err != nil {
		return s, err
	}
	if p.options.GroupBy == GroupByProcess {
		if s.Series, err = p.retire(s.Series); err != nil {
			return s, err
		}
	}
	s.GroupEntries = len(p.groups)
	for i := range s.Series {
		if !s.Series[i].Overflow {
			s.SeriesEntries++
		}
	}
	s.Groups = maps.Clone(p.groups)
	p.retired.describe(s.Groups)
	s.Series = p.retired.join(s.Series)
	// Counters after the series, so that Seen is not less than the calls in series.
	if s.Counters, err = p.readCounters(); err != nil {
		return s, err
	}
	if s.Counters.MissedRuns, err = p.readMissedRuns(); err != nil {
		return s, err
	}
	s.RingBytes, s.RingSize = p.reader.AvailableBytes(), p.options.RingBytes
	s.SeriesLimit, s.GroupLimit = p.options.SeriesLimit, p.options.GroupLimit
	return s, nil
}

// readSeries returns copies of the series in use, and the slot of each.
func (p *Probe) readSeries() (series []record.Series, slots []uint32, err error) {
	var slot bpf.GetsockoptSeriesSlot
	const size = int64(unsafe.Sizeof(slot))
	buffer := make([]byte, size)
	header := buffer[:unsafe.Offsetof(slot.Value)]
	for i := range int64(p.options.SeriesLimit + overflowSlots) {
		if _, err := p.series.ReadAt(header, i*size); err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, fmt.Errorf("read series %d: %w", i, err)
		}
		if i >= overflowSlots && !inUse(header) {
			continue
		}
		if _, err := p.series.ReadAt(buffer, i*size); err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, fmt.Errorf("read series %d: %w", i, err)
		}
		s := decodeSeries(buffer)
		s.Overflow = i < overflowSlots
		if s.Overflow {
			s.Pending = i == 1
			if s.Count() == 0 {
				continue
			}
		}
		series = append(series, s)
		slots = append(slots, uint32(i))
	}
	return series, slots, nil
}

// inUse reports whether a slot holds a series with a complete key: key_hash, which is
// written after the key, must be the key's hash. On arm64 the two may become visible in
// the other order. The series is then left to the next reading.
func inUse(header []byte) bool {
	var slot bpf.GetsockoptSeriesSlot
	check := binary.NativeEndian.Uint64(header[unsafe.Offsetof(slot.KeyHash):])
	return check != 0 && check == keyHash(header[unsafe.Offsetof(slot.Key):])
}

// keyHash is hash_key of bpf/series.h.
func keyHash(key []byte) uint64 {
	hash := binary.NativeEndian.Uint64(key)*0x9e3779b97f4a7c15 + binary.NativeEndian.Uint64(key[8:])
	hash = (hash ^ hash>>32) * 0xd6e8feb86659fd93
	return (hash ^ hash>>32) | 1
}

func decodeSeries(b []byte) record.Series {
	var slot bpf.GetsockoptSeriesSlot
	key := b[unsafe.Offsetof(slot.Key):]
	buckets := b[unsafe.Offsetof(slot.Value)+unsafe.Offsetof(slot.Value.Buckets):]
	s := record.Series{
		SeriesKey: record.SeriesKey{
			Group:   binary.NativeEndian.Uint32(key[unsafe.Offsetof(slot.Key.Group):]),
			Level:   int32(binary.NativeEndian.Uint32(key[unsafe.Offsetof(slot.Key.Level):])),
			Option:  int32(binary.NativeEndian.Uint32(key[unsafe.Offsetof(slot.Key.Option):])),
			Error:   binary.NativeEndian.Uint16(key[unsafe.Offsetof(slot.Key.Error):]),
			Entry:   record.Entry(key[unsafe.Offsetof(slot.Key.Entry)]),
			Pending: key[unsafe.Offsetof(slot.Key.Pending)] != 0,
		},
		Sum:     binary.NativeEndian.Uint64(b[unsafe.Offsetof(slot.Value)+unsafe.Offsetof(slot.Value.Sum):]),
		Buckets: make([]uint64, histogram.Buckets),
	}
	for i := range s.Buckets {
		s.Buckets[i] = binary.NativeEndian.Uint64(buckets[8*bucketSlot(i):])
	}
	return s
}

// readGroups reads the groups of series that were not read before. A group never changes.
func (p *Probe) readGroups(series []record.Series) error {
	known := true
	for i := range series {
		if _, ok := p.groups[series[i].Group]; !ok && series[i].Group != record.GroupOverflow {
			known = false
		}
	}
	if known {
		return nil
	}
	var key bpf.GetsockoptGroupKey
	var id uint32
	it := p.collection.Maps[bpf.GetsockoptMapGroups].Iterate()
	for it.Next(&key, &id) {
		if _, ok := p.groups[id]; !ok {
			g := decodeGroup(id, &key)
			p.clocks.key(&g.Process)
			p.groups[id] = g
			p.groupKeys[id] = key
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read the groups: %w", err)
	}
	return nil
}

func decodeGroup(id uint32, key *bpf.GetsockoptGroupKey) record.Group {
	g := record.Group{
		ID:      id,
		Origin:  record.Origin(key.Flags),
		Process: record.ProcessKey{Start: key.Process.Start, PID: key.Process.Pid, ExecID: key.Process.ExecId},
	}
	g.Name = unix.ByteSliceToString(unsigned(key.Name[:]))
	g.Namespace = unix.ByteSliceToString(unsigned(key.NameSpace[:]))
	return g
}

// readCounters sums the slots of the CPUs. Seen is from a second, later reading: the
// programs count a call as seen before they count it as anything else.
func (p *Probe) readCounters() (record.Counters, error) {
	var outcomes, later [counterSlots]bpf.GetsockoptCallCounters
	variable := p.collection.Variables[bpf.GetsockoptVarCounters]
	if err := variable.Get(&outcomes); err != nil {
		return record.Counters{}, fmt.Errorf("read the counters: %w", err)
	}
	if err := variable.Get(&later); err != nil {
		return record.Counters{}, fmt.Errorf("read the counters: %w", err)
	}
	var c record.Counters
	for i := range outcomes {
		o := &outcomes[i]
		c.Seen += later[i].Seen
		c.Filtered += o.Filtered
		c.NoEntry += o.NoEntry
		c.NoExit += o.NoExit
		c.NoStorage += o.NoStorage
		c.NoCompletion += o.NoCompletion
		c.Seccomp += o.Seccomp
		for class := range o.Kept {
			c.Kept[class] += o.Kept[class]
			c.SampledOut[class] += o.SampledOut[class]
		}
		c.Submitted += o.Submitted
		c.RingFull += o.RingFull
		c.ProcessLost += o.ProcessLost
		c.ValueReadErrors += o.ValueReadErrors
		c.LengthReadErrors += o.LengthReadErrors
		c.SeriesOverflow += o.SeriesOverflow
		c.GroupOverflow += o.GroupOverflow
	}
	var identities bpf.GetsockoptIdentityCounters
	if err := p.collection.Variables[bpf.GetsockoptVarIdentities].Get(&identities); err != nil {
		return record.Counters{}, fmt.Errorf("read the counters of processes: %w", err)
	}
	c.EnvironmentOverwritten = identities.EnvironmentOverwritten
	c.VariableCut = identities.VariableCut
	c.PathCut = identities.PathCut
	c.CgroupCut = identities.CgroupCut
	var unread bpf.GetsockoptParentCounters
	if err := p.collection.Variables[bpf.GetsockoptVarParentsUnread].Get(&unread); err != nil {
		return record.Counters{}, fmt.Errorf("read the counters of parents: %w", err)
	}
	c.ParentUnreadable = unread.Unreadable
	c.ParentMalformed = unread.Malformed
	c.ParentDeferred = unread.Deferred
	return c, nil
}

// readMissedRuns returns the recursion misses of all programs. Kernels before 5.12 do not
// report them: the number is then 0.
func (p *Probe) readMissedRuns() (uint64, error) {
	var missed uint64
	collections := []*ebpf.Collection{p.collection, p.ioUring, p.contexts}
	for _, c := range collections {
		if c == nil {
			continue
		}
		for name, program := range c.Programs {
			stats, err := program.Stats()
			if err != nil {
				return 0, fmt.Errorf("read the recursion misses of program %s: %w", name, err)
			}
			missed += stats.RecursionMisses
		}
	}
	return missed, nil
}

func unsigned(b []int8) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		out[i] = byte(c)
	}
	return out
}
