// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// overflowSlots are the series that take the calls of a full table,
// OVERFLOW_SLOTS of bpf/maps.h.
const overflowSlots = 2

// proof is the call that shows that a hook works: a level and an option that
// no program uses, so that the programs know it and user space is told which
// process is its own, in the kernel's own numbering.
type proof struct{ level, option int32 }

func newSelfTest() proof {
	return proof{
		level:  math.MinInt32 + rand.Int32N(1<<30),
		option: math.MinInt32 + rand.Int32N(1<<30),
	}
}

// load creates the maps and loads the programs of one hook. Nothing is
// attached yet.
func load(h hook, o *Options, p proof, u ioUring) (*ebpf.Collection, error) {
	spec, err := bpf.LoadGetsockopt()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", err)
	}
	programs := []side{h.enter, h.exit}
	if o.GroupBy == GroupByProcess {
		programs = append(programs, side{program: bpf.GetsockoptProgGroupRuns})
	}
	keepPrograms(spec, programs)
	if err := configure(spec, o, p, u.eventsOf(h)); err != nil {
		return nil, err
	}
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		logRefusal(o.Logger, h.String(), err)
		return nil, fmt.Errorf("load: %w", plainRefusal(err))
	}
	if err := fill(c, o); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func keepPrograms(spec *ebpf.CollectionSpec, sides []side) {
	for name := range spec.Programs {
		if !slices.ContainsFunc(sides, func(s side) bool { return s.program == name }) {
			delete(spec.Programs, name)
		}
	}
}

// logRefusal keeps the verifier's whole log within reach of whoever asks for
// debug output; the error itself carries its last line.
func logRefusal(logger *zap.Logger, what string, err error) {
	var refused *ebpf.VerifierError
	if errors.As(err, &refused) {
		logger.Debug("the kernel refused a program", zap.String("hook", what), zap.String("verifier", fmt.Sprintf("%+v", refused)))
	}
}

// plainRefusal replaces an EPERM, on which the library only guesses at locked
// memory: checkBPF has shown that programs of another kind can be loaded.
func plainRefusal(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("the kernel refuses programs of this kind (it may have no trampolines): %w", unix.EPERM)
	}
	return err
}

func configure(spec *ebpf.CollectionSpec, o *Options, p proof, u ioUringEvents) error {
	first, uppers := bucketTables()
	storage := taskStorageAvailable()
	for name, value := range map[string]any{
		bpf.GetsockoptVarTaskStorageAvailable:   boolByte(storage),
		bpf.GetsockoptVarTaskRegistersAvailable: boolByte(taskRegistersAvailable()),
		bpf.GetsockoptVarCastsAvailable:         boolByte(storage && castsAvailable()),
		bpf.GetsockoptVarSpansEnabled:           boolByte(o.Spans),
		bpf.GetsockoptVarValuesEnabled:          boolByte(o.ValuesEnabled),
		bpf.GetsockoptVarValueMax:               uint32(o.ValueMaxLength),
		bpf.GetsockoptVarWakeAt:                 uint64(o.RingBytes / 8),
		bpf.GetsockoptVarGroupBy:                uint8(o.GroupBy),
		bpf.GetsockoptVarRuledSubjects:          uint32(o.Selection.Ruled),
		bpf.GetsockoptVarIncludedSubjects:       uint32(o.Selection.Included),
		bpf.GetsockoptVarPatternCount:           uint32(len(o.Selection.Patterns)),
		bpf.GetsockoptVarKeepFailed:             boolByte(o.KeepFailed),
		bpf.GetsockoptVarKeepSlower:             keepSlower(o.KeepSlower),
		bpf.GetsockoptVarReceiverPid:            uint32(os.Getpid()),
		bpf.GetsockoptVarUringReturnSeen:        boolByte(u.returnSeen),
		bpf.GetsockoptVarUringReturnSeenCompat:  boolByte(u.returnSeenCompat),
		bpf.GetsockoptVarSelftestLevel:          p.level,
		bpf.GetsockoptVarSelftestOption:         p.option,
		bpf.GetsockoptVarBucketFirst:            first,
		bpf.GetsockoptVarBucketUppers:           uppers,
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
		// The verifier removes the code that uses them; the maps must still load.
		for _, name := range []string{bpf.GetsockoptMapThreads, bpf.GetsockoptMapUringThreads} {
			spec.Maps[name] = &ebpf.MapSpec{
				Name: "threads_unused", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1,
			}
		}
	}
	spec.Maps[bpf.GetsockoptMapSeries].MaxEntries = uint32(o.SeriesLimit + overflowSlots)
	spec.Maps[bpf.GetsockoptMapSeriesIndex].MaxEntries = uint32(o.SeriesLimit)
	spec.Maps[bpf.GetsockoptMapFreeSlots].MaxEntries = uint32(o.SeriesLimit)
	spec.Maps[bpf.GetsockoptMapGroups].MaxEntries = uint32(o.GroupLimit)
	spec.Maps[bpf.GetsockoptMapFreeGroups].MaxEntries = uint32(o.GroupLimit)
	scratch_buffers, err := scratchCount()
	if err != nil {
		return err
	}
	spec.Maps[bpf.GetsockoptMapScratchBuffers].MaxEntries = scratch_buffers
	spec.Maps[bpf.GetsockoptMapFreeScratch].MaxEntries = scratch_buffers
	spec.Maps[bpf.GetsockoptMapCopyRules].MaxEntries = uint32(len(sockopt.CopyRules()))
	spec.Maps[bpf.GetsockoptMapEvents].MaxEntries = uint32(o.RingBytes)
	// A map cannot be empty.
	if !u.possible {
		spec.Maps[bpf.GetsockoptMapDeferredRequests].MaxEntries = 1
	}
	spec.Maps[bpf.GetsockoptMapPatterns].MaxEntries = uint32(max(1, len(o.Selection.Patterns)))
	spec.Maps[bpf.GetsockoptMapOptionRules].MaxEntries = uint32(max(1, len(o.Selection.Options)))
	spec.Maps[bpf.GetsockoptMapUserRules].MaxEntries = uint32(max(1, len(o.Selection.Users)))
	return nil
}

const (
	// scratchMax bounds the scratch_buffers, of some 13 KiB, in which programs look at new
	// processes.
	scratchMax = 256
	// programsWithScratch are those of entry, return and io_uring's submission.
	programsWithScratch = 3
)

// scratchCount is one for each CPU and program that takes one: a program that can
// be preempted may be in its room while the others run. Past scratchMax as many
// processes must be looked at in the same moment for one to find none left,
// whose call is then counted as lost for want of memory.
func scratchCount() (uint32, error) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return 0, fmt.Errorf("count the CPUs, for the programs' room: %w", err)
	}
	return uint32(min(programsWithScratch*cpus, scratchMax)), nil
}

// taskRegistersAvailable: the helper came with 5.15.
func taskRegistersAvailable() bool {
	return features.HaveProgramHelper(ebpf.TracePoint, asm.FnTaskPtRegs) == nil
}

// taskStorageAvailable: the helpers came to tracing programs with 5.12.
func taskStorageAvailable() bool {
	return features.HaveMapType(ebpf.TaskStorage) == nil &&
		features.HaveProgramHelper(ebpf.TracePoint, asm.FnTaskStorageGet) == nil &&
		features.HaveProgramHelper(ebpf.TracePoint, asm.FnGetCurrentTaskBtf) == nil
}

// castsAvailable looks for the kernel function bpf_rdonly_cast, which came with
// 6.2.
func castsAvailable() bool {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return false
	}
	var cast *btf.Func
	return kernel.TypeByName("bpf_rdonly_cast", &cast) == nil
}

// keepSlower turns the option's 0 into a duration that no call exceeds.
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
