// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sampling"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// overflowSlots is how many slots of overflow a group has, see OVERFLOW_SLOT of
// bpf/series.h.
const overflowSlots = 2

// selfTest is the getsockopt call by which the probe checks that a hook works. No program
// uses its level and option, so the BPF programs recognize the call, and store the pid of
// the receiver in the initial pid namespace.
type selfTest struct{ level, option int32 }

func newSelfTest() selfTest {
	return selfTest{
		level:  math.MinInt32 + rand.Int32N(1<<30),
		option: math.MinInt32 + rand.Int32N(1<<30),
	}
}

// logVerifierError logs the complete log of the verifier at level debug. The error
// itself contains its last line.
func logVerifierError(logger *zap.Logger, what string, err error) {
	var rejected *ebpf.VerifierError
	if errors.As(err, &rejected) {
		logger.Debug("The kernel rejected a program", zap.String("hook", what), zap.String("verifier", fmt.Sprintf("%+v", rejected)))
	}
}

// explainLoadError replaces an EPERM, for which the library blames the limit on locked
// memory: checkBPF has already loaded a program of another type.
func explainLoadError(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("the kernel rejects programs of this type (it may have no trampolines): %w", unix.EPERM)
	}
	return err
}

func configure(spec *ebpf.CollectionSpec, o *Options, test selfTest, u ioUringEvents, kernel *btf.Cache) error {
	first, uppers, short := bucketTables()
	storage := taskStorageAvailable()
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count the CPUs, for the sizes of maps: %w", err)
	}
	shards := o.shards
	if shards == 0 {
		shards = Shards(cpus)
	}
	var fallbacks [maxFallbacks]record.NameFallback
	copy(fallbacks[:], o.NameFallbacks)
	for name, value := range map[string]any{
		bpf.GetsockoptVarTaskStorageAvailable:   boolByte(storage),
		bpf.GetsockoptVarTaskRegistersAvailable: boolByte(taskRegistersAvailable()),
		bpf.GetsockoptVarCastsAvailable:         boolByte(storage && castsAvailable(kernel)),
		bpf.GetsockoptVarSpansEnabled:           boolByte(o.Spans),
		bpf.GetsockoptVarParentsEnabled:         boolByte(o.Spans && o.Parents),
		bpf.GetsockoptVarProcessContextsEnabled: boolByte(o.processContexts()),
		bpf.GetsockoptVarValuesEnabled:          boolByte(o.ValuesEnabled),
		bpf.GetsockoptVarValueMax:               uint32(o.ValueMaxLength),
		bpf.GetsockoptVarRingSize:               uint64(o.RingBytes),
		bpf.GetsockoptVarGroupBy:                uint8(o.GroupBy),
		bpf.GetsockoptVarNameFallbacks:          fallbacks,
		bpf.GetsockoptVarHashSeed:               rand.Uint64(),
		bpf.GetsockoptVarPeerParts:              uint8(o.PeerParts),
		bpf.GetsockoptVarRuledSubjects:          uint32(o.Selection.Ruled),
		bpf.GetsockoptVarIncludedSubjects:       uint32(o.Selection.Included),
		bpf.GetsockoptVarPatternCount:           uint32(len(o.Selection.Patterns)),
		bpf.GetsockoptVarKeepFailed:             boolByte(o.KeepFailed),
		bpf.GetsockoptVarKeepSlower:             keepSlower(o.KeepSlower),
		bpf.GetsockoptVarRatioThreshold:         sampling.Threshold(o.SamplingRatio),
		bpf.GetsockoptVarSpansLimited:           boolByte(samplingOf(o).limited),
		bpf.GetsockoptVarFirstSlot:              uint32(overflowSlots * (o.GroupLimit + 1)),
		bpf.GetsockoptVarSeriesLimit:            uint32(o.SeriesLimit),
		bpf.GetsockoptVarShardMask:              uint32(shards - 1),
		bpf.GetsockoptVarReceiverPid:            uint32(os.Getpid()),
		bpf.GetsockoptVarUringReturnSeen:        boolByte(u.returnSeen),
		bpf.GetsockoptVarUringReturnSeenCompat:  boolByte(u.returnSeenCompat),
		bpf.GetsockoptVarSelftestLevel:          test.level,
		bpf.GetsockoptVarSelftestOption:         test.option,
		bpf.GetsockoptVarBucketFirst:            first,
		bpf.GetsockoptVarBucketUppers:           uppers,
		bpf.GetsockoptVarBucketShort:            short,
	} {
		variable := spec.Variables[name]
		if variable == nil {
			return fmt.Errorf("set %s: the object has no such variable", name)
		}
		if err := variable.Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	if !storage {
		// The verifier removes the code that uses them, but the maps must still load.
		for _, name := range []string{bpf.GetsockoptMapThreads, bpf.GetsockoptMapUringThreads} {
			spec.Maps[name] = &ebpf.MapSpec{
				Name: "threads_unused", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1,
			}
		}
	} else {
		// It serves only while the storage is busy.
		spec.Maps[bpf.GetsockoptMapThreadsById].MaxEntries = 512
	}
	spec.Maps[bpf.GetsockoptMapSeries].MaxEntries = uint32(o.SeriesLimit + overflowSlots*(o.GroupLimit+1))
	spec.Maps[bpf.GetsockoptMapSeriesCounts].MaxEntries = uint32(o.SeriesLimit * shards)
	spec.Maps[bpf.GetsockoptMapSlowCounts].MaxEntries = uint32(o.SeriesLimit)
	if o.PeerParts != 0 {
		spec.Maps[bpf.GetsockoptMapSeriesPeers].MaxEntries = uint32(o.SeriesLimit)
	}
	spec.Maps[bpf.GetsockoptMapSeriesIndex].MaxEntries = uint32(o.SeriesLimit)
	spec.Maps[bpf.GetsockoptMapFreeSlots].MaxEntries = uint32(o.SeriesLimit)
	for _, name := range []string{bpf.GetsockoptMapGroups, bpf.GetsockoptMapFreeGroups, bpf.GetsockoptMapOwners, bpf.GetsockoptMapFreeOwners} {
		spec.Maps[name].MaxEntries = uint32(o.GroupLimit)
	}
	for _, name := range []string{bpf.GetsockoptMapGroupStates, bpf.GetsockoptMapOwnerStates, bpf.GetsockoptMapRingUses} {
		spec.Maps[name].MaxEntries = uint32(o.GroupLimit + 1) // the first is of overflow
	}
	spec.Maps[bpf.GetsockoptMapNamedOptions].MaxEntries = uint32(len(sockopt.NamedOptions()) + len(sockopt.NamedLevels()))
	buffers := scratchBuffersFor(cpus)
	spec.Maps[bpf.GetsockoptMapScratchBuffers].MaxEntries = buffers
	spec.Maps[bpf.GetsockoptMapFreeScratch].MaxEntries = buffers
	spec.Maps[bpf.GetsockoptMapCopyRules].MaxEntries = uint32(len(sockopt.CopyRules()))
	spec.Maps[bpf.GetsockoptMapEvents].MaxEntries = uint32(o.RingBytes)
	for _, name := range []string{bpf.GetsockoptMapNoticed, bpf.GetsockoptMapControlWakeups} {
		spec.Maps[name].MaxEntries = uint32(os.Getpagesize())
	}
	// A map cannot be empty.
	if !o.Spans || !o.Parents {
		spec.Maps[bpf.GetsockoptMapPublishers].MaxEntries = 1
	}
	if !o.processContexts() {
		spec.Maps[bpf.GetsockoptMapNotices].MaxEntries = 1
		spec.Maps[bpf.GetsockoptMapPublishedNames].MaxEntries = 1
		spec.Maps[bpf.GetsockoptMapAwaitedContexts].MaxEntries = 1
		spec.Maps[bpf.GetsockoptMapContextBudgets].MaxEntries = 1
		spec.Maps[bpf.GetsockoptMapProcessContexts].MaxEntries = uint32(os.Getpagesize())
	}
	if !u.possible {
		spec.Maps[bpf.GetsockoptMapDeferredRequests].MaxEntries = 1
	}
	spec.Maps[bpf.GetsockoptMapPatterns].MaxEntries = uint32(max(1, len(o.Selection.Patterns)))
	spec.Maps[bpf.GetsockoptMapOptionRules].MaxEntries = uint32(max(1, len(o.Selection.Options)))
	spec.Maps[bpf.GetsockoptMapUserRules].MaxEntries = uint32(max(1, len(o.Selection.Users)))
	return nil
}

const (
	// scratchMax bounds the scratch buffers, of some 13 KiB each, in which programs
	// identify processes.
	scratchMax = 90
	// programsWithScratch is the number of programs that use scratch buffers: those of
	// entry, return, io_uring's submission and prctl(2).
	programsWithScratch = 4
)

// scratchBuffersFor returns one buffer for each CPU and each program that uses one: a
// program may be preempted while it uses a buffer, and others run meanwhile. On hosts
// where that would exceed scratchMax, no buffer is free only if as many processes are
// identified at the same moment. A call that finds none counts as lost (no_storage).
func scratchBuffersFor(cpus int) uint32 {
	return uint32(min(programsWithScratch*cpus, scratchMax))
}

const (
	// cpusPerShard bounds the CPUs that contend for the counts of a series. The model in
	// docs/performance.md has what more would cost.
	cpusPerShard = 8
	maxShards    = 8 // SHARDS_MAX of bpf/maps.h
)

// Shards returns how often there are counts of a series on a host of so many CPUs, a power
// of two.
func Shards(cpus int) int {
	shards := 1
	for shards < maxShards && shards*cpusPerShard < cpus {
		shards *= 2
	}
	return shards
}

// taskRegistersAvailable checks for the helper bpf_task_pt_regs (5.15).
func taskRegistersAvailable() bool {
	return features.HaveProgramHelper(ebpf.TracePoint, asm.FnTaskPtRegs) == nil
}

// taskStorageAvailable checks for task storage in tracing programs (5.12).
func taskStorageAvailable() bool {
	return features.HaveMapType(ebpf.TaskStorage) == nil &&
		features.HaveProgramHelper(ebpf.TracePoint, asm.FnTaskStorageGet) == nil &&
		features.HaveProgramHelper(ebpf.TracePoint, asm.FnGetCurrentTaskBtf) == nil
}

// castsAvailable checks for the kernel function bpf_rdonly_cast (6.2).
func castsAvailable(kernel *btf.Cache) bool {
	types, err := kernel.Kernel()
	if err != nil {
		return false
	}
	var cast *btf.Func
	return types.TypeByName("bpf_rdonly_cast", &cast) == nil
}

// keepSlower returns the option in nanoseconds; 0, off, becomes a duration that no call
// exceeds.
func keepSlower(d time.Duration) uint64 {
	if d <= 0 {
		return math.MaxUint64
	}
	return uint64(d)
}

func boolByte(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
