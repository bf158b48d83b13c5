// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// overflowSlots are the series that take the calls of a full table,
// OVERFLOW_SLOTS of bpf/maps.h.
const overflowSlots = 2

// proof is the call that shows that a hook works: a level and an option that
// no program uses, so that the programs know it and user space is told which
// process is its own, in the kernel's own numbering.
type proof struct{ level, option int32 }

func newProof() proof {
	return proof{
		level:  math.MinInt32 + rand.Int32N(1<<30),
		option: math.MinInt32 + rand.Int32N(1<<30),
	}
}

// load creates the maps and loads the programs of one hook. Nothing is
// attached yet.
func load(h hook, o *Options, p proof) (*ebpf.Collection, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise the limit on locked memory, which counts BPF maps before 5.11 (CAP_SYS_RESOURCE): %w", err)
	}
	spec, err := bpf.LoadGetsockopt()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", err)
	}
	keepPrograms(spec, []side{h.enter, h.exit})
	if err := configure(spec, o, p); err != nil {
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
// memory: that limit has been raised before.
func plainRefusal(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("the kernel refuses programs of this kind (a container's seccomp profile, lockdown or a kernel without trampolines): %w", unix.EPERM)
	}
	return err
}

func configure(spec *ebpf.CollectionSpec, o *Options, p proof) error {
	first, uppers := bucketTables()
	storage := taskStorageAvailable()
	for name, value := range map[string]any{
		bpf.GetsockoptVarTaskStorageAvailable: boolByte(storage),
		bpf.GetsockoptVarSpansEnabled:         boolByte(o.Spans),
		bpf.GetsockoptVarValuesEnabled:        boolByte(o.ValuesEnabled),
		bpf.GetsockoptVarValueMax:             uint32(o.ValueMaxLength),
		bpf.GetsockoptVarReceiverPid:          uint32(os.Getpid()),
		bpf.GetsockoptVarProofLevel:           p.level,
		bpf.GetsockoptVarProofOption:          p.option,
		bpf.GetsockoptVarBucketFirst:          first,
		bpf.GetsockoptVarBucketUppers:         uppers,
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
		// The verifier removes the code that uses it; the map must still load.
		spec.Maps[bpf.GetsockoptMapThreads] = &ebpf.MapSpec{
			Name: "threads_unused", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1,
		}
	}
	spec.Maps[bpf.GetsockoptMapSeries].MaxEntries = uint32(o.SeriesLimit + overflowSlots)
	spec.Maps[bpf.GetsockoptMapSeriesIndex].MaxEntries = uint32(o.SeriesLimit)
	spec.Maps[bpf.GetsockoptMapFreeSlots].MaxEntries = uint32(o.SeriesLimit)
	spec.Maps[bpf.GetsockoptMapGroups].MaxEntries = uint32(o.GroupLimit)
	spec.Maps[bpf.GetsockoptMapFreeGroups].MaxEntries = uint32(o.GroupLimit)
	spec.Maps[bpf.GetsockoptMapEvents].MaxEntries = uint32(o.RingBytes)
	return nil
}

// taskStorageAvailable: the helpers came to tracing programs with 5.12.
func taskStorageAvailable() bool {
	return features.HaveMapType(ebpf.TaskStorage) == nil &&
		features.HaveProgramHelper(ebpf.TracePoint, asm.FnTaskStorageGet) == nil &&
		features.HaveProgramHelper(ebpf.TracePoint, asm.FnGetCurrentTaskBtf) == nil
}

// fill puts in what the programs read: the free numbers of series and groups,
// and the options whose values may leave the kernel.
func fill(c *ebpf.Collection, o *Options) error {
	for slot := range uint32(o.SeriesLimit) {
		if err := c.Maps[bpf.GetsockoptMapFreeSlots].Put(nil, slot+overflowSlots); err != nil {
			return fmt.Errorf("fill the queue of free series: %w", err)
		}
	}
	for group := range uint32(o.GroupLimit) {
		if err := c.Maps[bpf.GetsockoptMapFreeGroups].Put(nil, group+1); err != nil {
			return fmt.Errorf("fill the queue of free groups: %w", err)
		}
	}
	for _, rule := range sockopt.CopyRules() {
		key := bpf.GetsockoptCopyRuleKey{Level: rule.Level, Option: rule.Code}
		if err := c.Maps[bpf.GetsockoptMapCopyRules].Put(&key, uint32(rule.Max)); err != nil {
			return fmt.Errorf("allow the value of option %d at level %d: %w", rule.Code, rule.Level, err)
		}
	}
	return nil
}

// bucketTables makes the tables of bpf/histogram.h. Of the steps, sixteen an
// octave, it gives the bucket of the smallest integer in each.
func bucketTables() (first [1024]uint8, uppers [256]uint64) {
	for i := range uppers {
		uppers[i] = math.MaxUint64
	}
	bounds := histogram.Uppers()
	copy(uppers[:], bounds[:])
	for power := range 64 {
		for step := range 16 {
			// ceil(2^power * (1 + step/16)); below 2^4 a step may hold no
			// integer, and then it is never looked up.
			smallest := uint64(1) << power
			if power >= 4 {
				smallest += uint64(step) << (power - 4)
			} else {
				smallest += uint64(step) >> (4 - power)
			}
			first[power*16+step] = uint8(histogram.Index(smallest))
		}
	}
	return first, uppers
}

func boolByte(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
