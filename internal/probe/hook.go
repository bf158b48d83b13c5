// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
)

// hook is one way to see the calls. Its programs are loaded alone, so that a
// kernel that refuses another hook's programs never sees them.
type hook struct {
	name string
	// variant tells apart what one setting may mean; empty for one kind only.
	variant string
	// possible says cheaply whether it is of any use to load the programs; nil
	// where only loading them tells.
	possible    func() error
	enter, exit side
	// ioUring sees the function that carries out io_uring's getsockopt, the
	// return side first; nil where functions cannot be traced.
	ioUring []side
}

// side is a program, and how it comes to run.
type side struct {
	program string
	target  string
	attach  func(program *ebpf.Program, target string) (io.Closer, error)
}

const (
	getsockoptFunction = "__sys_getsockopt"
	ioUringFunction    = "io_uring_cmd_sock" // commands of sockets, since 6.4
)

// hooks in the order of their cost to the whole host.
var hooks = []hook{
	{
		name:  HookFentry,
		enter: side{program: bpf.GetsockoptProgFentryGetsockopt, attach: attachTracing},
		exit:  side{program: bpf.GetsockoptProgFexitGetsockopt, attach: attachTracing},
		ioUring: []side{
			{program: bpf.GetsockoptProgFexitIoUring, attach: attachTracing},
			{program: bpf.GetsockoptProgFentryIoUring, attach: attachTracing},
		},
	},
	{
		name:     HookKprobe,
		variant:  "multi",
		possible: kprobesPossible,
		enter:    side{bpf.GetsockoptProgKprobeMultiEnter, getsockoptFunction, attachKprobeMulti},
		exit:     side{bpf.GetsockoptProgKprobeMultiExit, getsockoptFunction, attachKretprobeMulti},
		ioUring: []side{
			{bpf.GetsockoptProgKprobeMultiIoUringExit, ioUringFunction, attachKretprobeMulti},
			{bpf.GetsockoptProgKprobeMultiIoUringEnter, ioUringFunction, attachKprobeMulti},
		},
	},
	{
		name:     HookKprobe,
		possible: kprobesPossible,
		enter:    side{bpf.GetsockoptProgKprobeEnter, getsockoptFunction, attachKprobe},
		exit:     side{bpf.GetsockoptProgKprobeExit, getsockoptFunction, attachKretprobe},
		ioUring: []side{
			{bpf.GetsockoptProgKprobeIoUringExit, ioUringFunction, attachKretprobe},
			{bpf.GetsockoptProgKprobeIoUringEnter, ioUringFunction, attachKprobe},
		},
	},
	{
		name:  HookTracepoint,
		enter: side{bpf.GetsockoptProgTracepointEnter, "sys_enter_getsockopt", attachTracepoint},
		exit:  side{bpf.GetsockoptProgTracepointExit, "sys_exit_getsockopt", attachTracepoint},
	},
	{
		name:  HookRawTracepoint,
		enter: side{program: bpf.GetsockoptProgRawEnter, attach: attachTracing},
		exit:  side{program: bpf.GetsockoptProgRawExit, attach: attachTracing},
	},
}

func (h hook) String() string {
	if h.variant != "" {
		return h.name + " (" + h.variant + ")"
	}
	return h.name
}

// candidates returns the hooks that a setting allows, best first.
func candidates(setting string) ([]hook, error) {
	if setting == HookAuto {
		if kernelPreempts() {
			return exactFirst(hooks), nil
		}
		return hooks, nil
	}
	var named []hook
	for _, h := range hooks {
		if h.name == setting {
			named = append(named, h)
		}
	}
	if named == nil {
		return nil, fmt.Errorf("unknown hook %q", setting)
	}
	return named, nil
}

// attachTracing attaches a program that names its own target: fentry, fexit
// (5.5; arm64 6.4) or a BTF raw tracepoint (5.5).
func attachTracing(program *ebpf.Program, _ string) (io.Closer, error) {
	return closer(rawTracepointOpen)(link.AttachTracing(link.TracingOptions{Program: program}))
}

// kprobesPossible looks for the kernel's source of kprobe events (4.17).
func kprobesPossible() error {
	if _, err := os.Stat("/sys/bus/event_source/devices/kprobe"); err != nil {
		return fmt.Errorf("this kernel has no kprobes (CONFIG_KPROBES): %w", err)
	}
	return nil
}

// attachKprobeMulti needs 5.18 and CONFIG_FPROBE.
func attachKprobeMulti(program *ebpf.Program, symbol string) (io.Closer, error) {
	return closer(linkCreate)(link.KprobeMulti(program, link.KprobeMultiOptions{Symbols: []string{symbol}}))
}

func attachKretprobeMulti(program *ebpf.Program, symbol string) (io.Closer, error) {
	return closer(linkCreate)(link.KretprobeMulti(program, link.KprobeMultiOptions{Symbols: []string{symbol}}))
}

func attachKprobe(program *ebpf.Program, symbol string) (io.Closer, error) {
	return closer(perfEventOpen)(link.Kprobe(symbol, program, nil))
}

func attachKretprobe(program *ebpf.Program, symbol string) (io.Closer, error) {
	return closer(perfEventOpen)(link.Kretprobe(symbol, program, nil))
}

// closer keeps a nil link from becoming a closer that is not nil. It is given the
// system call that attaches.
func closer(attaching call) func(link.Link, error) (io.Closer, error) {
	return func(l link.Link, err error) (io.Closer, error) {
		if err != nil {
			return nil, filteredElse(err, attaching)
		}
		return l, nil
	}
}

// attachTracepoint attaches to an event of the group syscalls. It opens the
// perf event itself, because the event's number may come from a tracefs that
// is mounted nowhere. The program runs on all CPUs whichever one is named:
// it belongs to the event (kernel/trace/bpf_trace.c, perf_event_attach_bpf_prog).
func attachTracepoint(program *ebpf.Program, event string) (io.Closer, error) {
	id, err := eventID("syscalls", event)
	if err != nil {
		return nil, err
	}
	attr := unix.PerfEventAttr{
		Type:        unix.PERF_TYPE_TRACEPOINT,
		Config:      id,
		Sample_type: unix.PERF_SAMPLE_RAW,
		Sample:      1,
		Wakeup:      1,
	}
	fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open the perf event of syscalls:%s: %w", event, filteredElse(err, perfEventOpen))
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, program.FD()); err != nil {
		return nil, errors.Join(fmt.Errorf("attach to syscalls:%s: %w", event, err), unix.Close(fd))
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("enable syscalls:%s: %w", event, err), unix.Close(fd))
	}
	return perfEvent(fd), nil
}

// perfEvent is a perf event's descriptor; closing it detaches its program.
type perfEvent int

func (p perfEvent) Close() error { return unix.Close(int(p)) }
