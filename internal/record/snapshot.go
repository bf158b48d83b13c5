// SPDX-License-Identifier: Apache-2.0

package record

// Counters are the counters of the BPF programs, summed over all CPUs. They only grow
// while a probe runs. For spans
//
//	Seen = Filtered + Uncounted() + SampledOut + Submitted + RingFull + calls running
//
// and for metrics
//
//	Seen = sum of the series of all snapshots + Filtered + Uncounted() + calls running.
//
// The unit is calls where nothing else is named.
type Counters struct {
	Seen             uint64 // entries, returns without an entry, and deferred io_uring requests that ended
	Filtered         uint64 // not selected, and the receiver's own calls, those of the self-test included
	NoEntry          uint64 // observed at return only
	NoExit           uint64 // observed at entry only
	Seccomp          uint64 // observed at return only, in a thread under a seccomp filter, which may have answered
	NoStorage        uint64 // no memory to store the entry, or no free scratch buffer to identify the process
	NoCompletion     uint64 // deferred io_uring requests without an observable end
	Kept             uint64 // kept by sampling
	SampledOut       uint64 // not kept by sampling
	Submitted        uint64 // call records written to the ring buffer
	RingFull         uint64 // calls without a record because the ring buffer was full
	ProcessLost      uint64 // process records not sent: the ring buffer was full, or no scratch buffer was free; each is sent again at the next call of the process
	ValueReadErrors  uint64 // values that were to be copied and could not be read
	LengthReadErrors uint64 // lengths that could not be read, NULL pointers included
	SeriesOverflow   uint64 // calls counted in an overflow series
	GroupOverflow    uint64 // processes for which no group was free
	// MissedRuns is how many runs of the programs the kernel skipped because another
	// program was running on the CPU (bpf_prog_info.recursion_misses, 5.12). The call is
	// then observed at entry or return only, or not at all.
	MissedRuns uint64
	// Processes that are described incompletely, each counted once.
	EnvironmentOverwritten uint64 // the program overwrote its environment
	VariableCut            uint64 // a variable was truncated
	PathCut                uint64 // the path of the executable could not be determined
	CgroupCut              uint64 // the path of the cgroup is too long
	// Spans without a parent although their program publishes its context.
	ParentUnreadable uint64 // memory was not resident or not mapped
	ParentMalformed  uint64 // read, and not valid
	ParentDeferred   uint64 // requests of io_uring that may run outside of the span they belong to
}

// Uncounted returns how many calls are in no series and have no span.
func (c *Counters) Uncounted() uint64 {
	return c.NoEntry + c.NoExit + c.NoStorage + c.NoCompletion + c.Seccomp
}

// Snapshot is one reading of everything that the BPF programs count.
type Snapshot struct {
	// Series are the calls since the previous snapshot, each call in one snapshot. A series
	// without such calls is left out. Each key is there once, overflow series apart.
	Series []Series
	// Evicted are the series that have lost their slot since the previous snapshot and have
	// none now: it was taken back for other series, or calls came in while it was removed.
	// Their last calls are in Series.
	Evicted []SeriesKey
	// Groups are those of the kernel and those of Series, by Group.ID; without GroupOverflow.
	Groups map[uint32]Group
	// EvictedGroups are the groups that the kernel no longer has although calls of them are in
	// Series, or series of them had slots at the previous snapshot. No slot of them is left.
	EvictedGroups []uint32
	// EndedGroups are the groups of processes that have ended, as long as the kernel has them.
	EndedGroups []uint32
	Counters    Counters
	// Fill of the ring buffer and the maps, for self-telemetry.
	RingBytes, RingSize        int // bytes to read, and in all
	SeriesEntries, SeriesLimit int // without those of overflow
	GroupEntries, GroupLimit   int // without GroupOverflow
}
