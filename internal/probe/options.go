// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"math"
	"math/bits"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/selection"
)

// The hooks, in the order of their cost to the whole host.
const (
	HookAuto          = "auto"           // the first of the others whose self-test passes
	HookFentry        = "fentry"         // fentry and fexit of __sys_getsockopt; other system calls run no program
	HookKprobe        = "kprobe"         // kprobe and kretprobe of the same function, multi where the kernel has it
	HookTracepoint    = "tracepoint"     // syscalls:sys_{enter,exit}_getsockopt; 64-bit calls only
	HookRawTracepoint = "raw_tracepoint" // raw sys_enter and sys_exit; every system call runs a program
)

// Options are the options of a probe. [Open] returns an error for a value that is not in
// its range.
type Options struct {
	// Hook is one of the Hook constants; empty is HookAuto.
	Hook string
	// Spans makes the BPF programs write a record for each sampled call. Without it calls
	// are only counted.
	Spans bool
	// Parents makes the BPF programs read the active span of programs that publish it, for
	// calls that become spans. See [Probe.Publish].
	Parents bool
	// ValuesEnabled makes the BPF programs copy option values, up to ValueMaxLength bytes
	// each: 1 to 4096. Without ValuesEnabled ValueMaxLength has no effect.
	ValuesEnabled  bool
	ValueMaxLength int
	// SamplingRatio is the highest share of calls that become spans, 0 to 1.
	SamplingRatio float64
	// SpansPerSecond is the target rate of spans, 0 or more; 0 is no target.
	SpansPerSecond float64
	// KeepFailed and KeepSlower select the calls to which SamplingRatio does not apply: calls
	// that failed or read a pending error, and calls that took longer (0 or more; 0: off).
	KeepFailed bool
	KeepSlower time.Duration
	// Selection is the calls to count; nil selects all. It must not be changed afterwards.
	Selection *selection.Rules
	// GroupBy is what calls are counted under; 0 is GroupByService.
	GroupBy GroupBy
	// PeerParts are what of the peer distinguishes series of pending errors; 0: nothing.
	PeerParts record.PeerParts
	// NameFallbacks are what names the service of a process that does not name it itself:
	// the first that applies.
	NameFallbacks []record.NameFallback
	// SeriesLimit is the most series, 1 to 100,000; 0 is the default of 2000. GroupLimit is
	// the most groups, 1 to 65,534; 0 is the default, half as many as series and at least
	// 1023. Calls beyond them are counted in overflow series.
	SeriesLimit int
	GroupLimit  int
	// RingBytes is the size of the ring buffer in bytes: a power of two and a multiple of
	// the page size, up to 1 GiB; 0 is the default of 4 MiB.
	RingBytes int
	// OBIMap is the path of the map in which OpenTelemetry's eBPF instrumentation publishes
	// active spans; empty is its default.
	OBIMap string
	// Logger receives which hook is in use, and why others were rejected; nil logs nothing.
	Logger *zap.Logger

	// shards is how often there are counts of a series: more than this host needs in tests.
	shards int
	// sleepPeriod is how long the control loop sleeps unless a call wakes it; 0 is the default.
	sleepPeriod time.Duration
}

// GroupBy is what calls are counted under, enum group_by of bpf/records.h; a mask.
type GroupBy uint8

// The groupings.
const (
	GroupByService     GroupBy = 1 << iota // service.name and service.namespace
	GroupByContainer                       // container id, with pod and service.instance.id
	GroupBySystemdUnit                     // systemd unit of a service
	GroupByProcess                         // process image, with its service
	GroupByHost                            // all calls of the host in one group, without the others
)

// maxFallbacks is FALLBACKS_MAX of bpf/records.h.
const maxFallbacks = 2

const (
	defaultSeriesLimit = 2000
	minDefaultGroups   = 1023
	defaultRingBytes   = 4 << 20

	// defaultOBIMap is where OBI pins its map unless OTEL_EBPF_BPF_FS_PATH is set.
	defaultOBIMap = "/sys/fs/bpf/otel/traces_ctx_v1"

	maxValueLength = 4096 // VALUE_MAX of bpf/emit.h
	maxSeries      = 100_000
	maxGroups      = 1<<groupIndexBits - 2 // no group has the index of noKey
	maxRingBytes   = 1 << 30
)

func (o *Options) setDefaults() {
	if o.Hook == "" {
		o.Hook = HookAuto
	}
	if o.GroupBy == 0 {
		o.GroupBy = GroupByService
	}
	if o.SeriesLimit == 0 {
		o.SeriesLimit = defaultSeriesLimit
	}
	if o.GroupLimit == 0 {
		o.GroupLimit = max(minDefaultGroups, o.SeriesLimit/2)
	}
	if o.RingBytes == 0 {
		o.RingBytes = defaultRingBytes
	}
	if o.OBIMap == "" {
		o.OBIMap = defaultOBIMap
	}
	if o.Selection == nil {
		o.Selection = &selection.Rules{}
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.sleepPeriod == 0 {
		o.sleepPeriod = sleepPeriod
	}
}

// validate returns an error that names the first option that is not in its range.
func (o *Options) validate() error {
	switch {
	case o.ValuesEnabled && (o.ValueMaxLength < 1 || o.ValueMaxLength > maxValueLength):
		return fmt.Errorf("probe option ValueMaxLength must be from 1 to %d bytes, got %d", maxValueLength, o.ValueMaxLength)
	case !(o.SamplingRatio >= 0 && o.SamplingRatio <= 1): // NaN is neither
		return fmt.Errorf("probe option SamplingRatio must be from 0 to 1, got %v", o.SamplingRatio)
	case !(o.SpansPerSecond >= 0) || math.IsInf(o.SpansPerSecond, 1):
		return fmt.Errorf("probe option SpansPerSecond must be 0 (no target) or more, got %v", o.SpansPerSecond)
	case o.KeepSlower < 0:
		return fmt.Errorf("probe option KeepSlower must be 0 (off) or longer, got %v", o.KeepSlower)
	case o.GroupBy > GroupByHost:
		return fmt.Errorf("probe option GroupBy must be of the GroupBy constants, and GroupByHost alone, got %#b", o.GroupBy)
	case len(o.NameFallbacks) > maxFallbacks:
		return fmt.Errorf("probe option NameFallbacks must be at most %d, got %d", maxFallbacks, len(o.NameFallbacks))
	case o.SeriesLimit < 1 || o.SeriesLimit > maxSeries:
		return fmt.Errorf("probe option SeriesLimit must be from 1 to %d, got %d", maxSeries, o.SeriesLimit)
	case o.GroupLimit < 1 || o.GroupLimit > maxGroups:
		return fmt.Errorf("probe option GroupLimit must be from 1 to %d, got %d", maxGroups, o.GroupLimit)
	case o.RingBytes < 1 || o.RingBytes > maxRingBytes || bits.OnesCount(uint(o.RingBytes)) != 1 || o.RingBytes%os.Getpagesize() != 0:
		return fmt.Errorf("probe option RingBytes must be a power of two and a multiple of the page size (%d), at most %d, got %d", os.Getpagesize(), maxRingBytes, o.RingBytes)
	}
	return nil
}
