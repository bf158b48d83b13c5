// SPDX-License-Identifier: Apache-2.0

package record

// Counters is how every call went that is counted anywhere. They only grow
// while a probe lives. For spans
//
//	Seen = Filtered + Uncounted() + SampledOutTotal() + Submitted + RingFull + calls running
//
// and for metrics
//
//	Seen = sum of all series + Filtered + Uncounted() + calls running.
type Counters struct {
	Seen             uint64    // entries, returns whose entry was not seen, and io_uring requests that ended
	Filtered         uint64    // not selected: the receiver's own calls and its proof calls
	NoEntry          uint64    // returned, but the entry was not seen
	NoExit           uint64    // entered, but the return was not seen
	Seccomp          uint64    // returned from a thread under a seccomp filter, but the entry was not seen
	NoStorage        uint64    // no memory to pair entry and return, or to look at the process
	NoCompletion     uint64    // io_uring requests whose end the kernel does not show
	Kept             [2]uint64 // kept by sampling, by class: 1 holds the calls that are always kept
	SampledOut       [2]uint64 // not kept by sampling, by class
	Submitted        uint64    // records handed to the ring
	RingFull         uint64    // spans lost because the ring was full, or their process could not be process_emitted
	ProcessLost      uint64    // process records that found the ring full, or no room to be made in; each is sent again at the process's next call
	ValueReadErrors  uint64    // values that were due and could not be read
	LengthReadErrors uint64    // lengths that could not be read, NULL pointers included
	SeriesOverflow   uint64    // calls folded into the overflow series
	GroupOverflow    uint64    // processes that found the table of groups full
	// MissedRuns is how many runs of the programs the kernel itself left out,
	// because another one was running on the CPU (bpf_prog_info.recursion_misses,
	// 5.12). Such a call is seen at one of its ends only, or not at all.
	MissedRuns uint64
	// Processes of which less is known than could be, each counted once.
	EnvironmentOverwritten uint64 // the program wrote over its environment
	VariableCut            uint64 // a variable is longer than is kept
	PathCut                uint64 // the executable has no path that could be had
	CgroupCut              uint64 // the cgroup's path is longer than is kept
}

// Uncounted is how many calls are in no series, and have no span.
func (c *Counters) Uncounted() uint64 {
	return c.NoEntry + c.NoExit + c.NoStorage + c.NoCompletion + c.Seccomp
}

// SampledOutTotal is how many calls sampling did not keep.
func (c *Counters) SampledOutTotal() uint64 { return c.SampledOut[0] + c.SampledOut[1] }

// Snapshot is one reading of everything the kernel counts.
type Snapshot struct {
	Series   []Series
	Groups   map[uint32]Group
	Counters Counters
	// Fill of ring and maps, for self-telemetry.
	RingBytes, RingSize        int
	SeriesEntries, SeriesLimit int
	GroupEntries, GroupLimit   int
}
