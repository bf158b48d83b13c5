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

// hook is a pair of attach points through which calls are observed. Only its own programs
// are loaded, because a kernel may reject those of another hook.
type hook struct {
	name string
	// variant distinguishes the hooks of one setting; empty if there is only one.
	variant string
	// possible returns why the hook cannot work, without loading its programs; nil if
	// only loading them can find out.
	possible    func() error
	enter, exit attachment
	// ioUring attaches to the function that executes io_uring's getsockopt requests, the
	// return first; nil if the hook cannot trace functions.
	ioUring []attachment
	// prctl observes prctl(2) without a cost to other system calls; empty if the hook has
	// no such way.
	prctl attachment
}

// attachment is a program and its attach point.
type attachment struct {
	program string
	target  string // function or tracepoint; empty if the program itself names it
	attach  func(program *ebpf.Program, target string) (io.Closer, error)
}

const (
	getsockoptFunction = "__sys_getsockopt"
	ioUringFunction    = "io_uring_cmd_sock"   // commands of sockets, since 6.4
	prctlFunction      = "security_task_prctl" // first in each prctl(2); needs CONFIG_SECURITY
)

// hooks are in the order of their cost to the whole host.
var hooks = []hook{
	{
		name:  HookFentry,
		enter: attachment{program: bpf.GetsockoptProgFentryGetsockopt, attach: attachTracing},
		exit:  attachment{program: bpf.GetsockoptProgFexitGetsockopt, attach: attachTracing},
		ioUring: []attachment{
			{program: bpf.GetsockoptProgFexitIoUring, attach: attachTracing},
			{program: bpf.GetsockoptProgFentryIoUring, attach: attachTracing},
		},
		prctl: attachment{program: bpf.GetsockoptProgFentryPrctl, attach: attachTracing},
	},
	{
		name:     HookKprobe,
		variant:  "multi",
		possible: kprobesPossible,
		enter:    attachment{bpf.GetsockoptProgKprobeMultiEnter, getsockoptFunction, attachKprobeMulti},
		exit:     attachment{bpf.GetsockoptProgKprobeMultiExit, getsockoptFunction, attachKretprobeMulti},
		ioUring: []attachment{
			{bpf.GetsockoptProgKprobeMultiIoUringExit, ioUringFunction, attachKretprobeMulti},
			{bpf.GetsockoptProgKprobeMultiIoUringEnter, ioUringFunction, attachKprobeMulti},
		},
		prctl: attachment{bpf.GetsockoptProgKprobeMultiPrctl, prctlFunction, attachKprobeMulti},
	},
	{
		name:     HookKprobe,
		possible: kprobesPossible,
		enter:    attachment{bpf.GetsockoptProgKprobeEnter, getsockoptFunction, attachKprobe},
		exit:     attachment{bpf.GetsockoptProgKprobeExit, getsockoptFunction, attachKretprobe},
		ioUring: []attachment{
			{bpf.GetsockoptProgKprobeIoUringExit, ioUringFunction, attachKretprobe},
			{bpf.GetsockoptProgKprobeIoUringEnter, ioUringFunction, attachKprobe},
		},
		prctl: attachment{bpf.GetsockoptProgKprobePrctl, prctlFunction, attachKprobe},
	},
	{
		name:  HookTracepoint,
		enter: attachment{bpf.GetsockoptProgTracepointEnter, "sys_enter_getsockopt", attachTracepoint},
		exit:  attachment{bpf.GetsockoptProgTracepointExit, "sys_exit_getsockopt", attachTracepoint},
		// All system calls already take the path on which the kernel looks for their events.
		prctl: attachment{bpf.GetsockoptProgTracepointPrctl, "sys_enter_prctl", attachTracepoint},
	},
	{
		name:  HookRawTracepoint,
		enter: attachment{program: bpf.GetsockoptProgRawEnter, attach: attachTracing},
		exit:  attachment{program: bpf.GetsockoptProgRawExit, attach: attachTracing},
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
			return kprobesFirst(hooks), nil
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

// attachTracing attaches a program that names its target itself: fentry, fexit (5.5;
// arm64 6.4) or a BTF raw tracepoint (5.5).
func attachTracing(program *ebpf.Program, _ string) (io.Closer, error) {
	return closer(rawTracepointOpen)(link.AttachTracing(link.TracingOptions{Program: program}))
}

// kprobesPossible checks for the kernel's event source of kprobes (4.17).
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

// closer prevents that a nil link becomes an io.Closer that is not nil. attaching is the
// system call that attaches.
func closer(attaching call) func(link.Link, error) (io.Closer, error) {
	return func(l link.Link, err error) (io.Closer, error) {
		if err != nil {
			return nil, orSeccompError(err, attaching)
		}
		return l, nil
	}
}

// attachTracepoint attaches to an event of the group syscalls. It opens the perf event
// itself: link.Tracepoint needs a mounted tracefs, and the event's number may come from one
// that is not mounted. The program runs on all CPUs whichever one is named: it belongs
// to the event (kernel/trace/bpf_trace.c, perf_event_attach_bpf_prog).
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
		return nil, fmt.Errorf("open the perf event of syscalls:%s: %w", event, orSeccompError(err, perfEventOpen))
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
