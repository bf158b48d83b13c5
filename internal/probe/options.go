// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"time"

	"go.uber.org/zap"

	"github.com/getsockopt/getsockoptreceiver/internal/selection"
)

// The hooks, in the order of what they cost the whole host.
const (
	HookAuto          = "auto"
	HookFentry        = "fentry"         // fentry/fexit of __sys_getsockopt; nothing for other calls
	HookKprobe        = "kprobe"         // kprobe and kretprobe of the same function, multi where there is one
	HookTracepoint    = "tracepoint"     // syscalls:sys_{enter,exit}_getsockopt; 64-bit calls only
	HookRawTracepoint = "raw_tracepoint" // raw sys_enter/sys_exit; a program on every system call
)

// Options is what a probe is started with.
type Options struct {
	// Hook is one of the Hook constants; HookAuto tries them in their order.
	Hook string
	// Spans makes the kernel write a record for each call; without it calls
	// are only counted.
	Spans bool
	// ValuesEnabled lets option values leave the kernel, up to ValueMaxLength
	// bytes each (1 to 4096).
	ValuesEnabled  bool
	ValueMaxLength int
	// SamplingRatio, 0 to 1, is the most that becomes spans; SpansPerSecond the
	// rate that the kernel keeps them to, 0 for none. KeepFailed and KeepSlower
	// (0: off) name the calls that are kept whole until they alone exceed it.
	SamplingRatio  float64
	SpansPerSecond float64
	KeepFailed     bool
	KeepSlower     time.Duration
	// Selection says which calls are counted at all; nil selects every one.
	Selection *selection.Rules
	// GroupBy is what calls are counted under.
	GroupBy GroupBy
	// SeriesLimit bounds the series, GroupLimit the groups; 0 takes the
	// defaults of 2000 and 1023. What comes later folds into overflow series.
	SeriesLimit int
	GroupLimit  int
	// RingBytes is the size of the ring, a power of two and a multiple of the
	// page size; 0 takes 4 MiB.
	RingBytes int
	Logger    *zap.Logger
}

// GroupBy is what the kernel counts calls under, enum group_by of bpf/records.h.
type GroupBy uint8

// The groupings.
const (
	GroupByService GroupBy = iota
	GroupByContainer
	GroupByProcess
	GroupByHost
)

const (
	defaultSeriesLimit = 2000
	defaultGroupLimit  = 1023
	defaultRingBytes   = 4 << 20
)

func (o *Options) setDefaults() {
	if o.Hook == "" {
		o.Hook = HookAuto
	}
	if o.SeriesLimit == 0 {
		o.SeriesLimit = defaultSeriesLimit
	}
	if o.GroupLimit == 0 {
		o.GroupLimit = defaultGroupLimit
	}
	if o.RingBytes == 0 {
		o.RingBytes = defaultRingBytes
	}
	if o.Selection == nil {
		o.Selection = &selection.Rules{}
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
}
