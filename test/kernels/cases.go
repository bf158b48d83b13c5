// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

// kernel is one row of the matrix: the newest package of a Debian release
// whose name matches.
type kernel struct {
	version    string // as the cases compare it
	arch       string // Debian's and Go's name
	suites     []string
	pattern    *regexp.Regexp
	auto       string // the hook that is best there
	parameters string // of its command line, in addition to those of all
	everything bool   // the tests that are the same on every kernel run as well
}

func (k kernel) String() string { return k.version + "-" + k.arch }

// The kernels that the receiver is tested with. The patch level is in the
// packages' names, so that they are looked for and never written down. A cloud
// kernel has what a virtual machine needs built in. One kernel is configured for
// 510 CPUs that may yet be plugged in: maps then have slots for them. The oldest and the
// newest run everything.
var kernels = []kernel{
	{"5.10", "amd64", []string{"bullseye", "bullseye-security"}, regexp.MustCompile(`^linux-image-5\.10\.0-\d+-cloud-amd64-unsigned$`), probe.HookFentry, "", true},
	{"6.1", "amd64", []string{"bookworm", "bookworm-security"}, regexp.MustCompile(`^linux-image-6\.1\.0-\d+-cloud-amd64$`), probe.HookFentry, "possible_cpus=512", false},
	{"6.12", "amd64", []string{"trixie", "trixie-security"}, regexp.MustCompile(`^linux-image-6\.12\.\d+\+deb13-cloud-amd64$`), probe.HookFentry, "", false},
	// The newest 7.x, whose linux-image packages hold no image. It can be
	// preempted, where only kprobes miss no call.
	{"7", "amd64", []string{"sid"}, regexp.MustCompile(`^linux-binary-7\.\d+\.\d+\+deb\d+-cloud-amd64$`), probe.HookKprobe, "", true},
	{"6.1", "arm64", []string{"bookworm", "bookworm-security"}, regexp.MustCompile(`^linux-image-6\.1\.0-\d+-cloud-arm64$`), probe.HookKprobe, "", false},
	{"6.12", "arm64", []string{"trixie", "trixie-security"}, regexp.MustCompile(`^linux-image-6\.12\.\d+\+deb13-cloud-arm64$`), probe.HookFentry, "", false},
}

// sameEverywhere are tests of internal/probe of what the programs compute, and of what user
// space does with it: which calls are selected, sampled and grouped, and who has places when
// there are few. It does not depend on the kernel, unlike how programs load and attach, what
// they read of calls, sockets and processes, and what runs at the same time.
var sameEverywhere = []string{
	"TestAwaitedContextsAreSharedAmongOwners",
	"TestCallUnderWayWhileItsGroupIsFreed",
	"TestCountsAreRepaired",
	"TestCountsOfEachShard",
	"TestEndedProcessesEvictNoLivingOne",
	"TestEndedProcessesLeaveNothing",
	"TestFullCounts",
	"TestIOUringTableIsSharedAmongOwners",
	"TestInventedPeers",
	"TestLiftedCallsKeepToTheTarget",
	"TestNewcomersHaveTheirPlaceAtOnce",
	"TestOwnersReturnToTheIndex",
	"TestPeerIsReadWhole",
	"TestProcessesGetTheirNameWhenThereIsPlace",
	"TestScratchBuffersRunOut",
	"TestSelectionInTheKernel",
	"TestSeriesOfANewGroupLeaveTheirName",
	"TestSeriesOfPeers",
	"TestServicesOneAfterTheOther",
	"TestShortLivedProcesses",
	"TestSpaceInTheRingBufferIsShared",
	"TestTargetRate",
	"TestTotalsAgreeUnderEachGrouping",
}

// hooks are tried on every kernel, each insisted on.
var hooks = []string{probe.HookAuto, probe.HookFentry, probe.HookKprobe, probe.HookTracepoint, probe.HookRawTracepoint}

// entryPoints are tried behind every hook, by architecture.
var entryPoints = map[string][]report.EntryPoint{
	"amd64": append([]report.EntryPoint{
		{Name: "syscall", Program: "/entrypoints-amd64", Argument: "syscall", Entry: "syscall"},
		{Name: "compat", Program: "/entrypoints-i386", Argument: "syscall", Entry: "syscall_compat"},
		{Name: "socketcall", Program: "/entrypoints-i386", Argument: "socketcall", Entry: "socketcall"},
	}, ioUring("/entrypoints-amd64")...),
	"arm64": append([]report.EntryPoint{
		{Name: "syscall", Program: "/entrypoints-arm64", Argument: "syscall", Entry: "syscall"},
		{Name: "compat", Program: "/entrypoints-armhf", Argument: "syscall", Entry: "syscall_compat"},
	}, ioUring("/entrypoints-arm64")...),
}

func ioUring(program string) []report.EntryPoint {
	return []report.EntryPoint{
		{Name: "io_uring", Program: program, Argument: "io_uring", Entry: "io_uring"},
		{Name: "io_uring_worker", Program: program, Argument: "io_uring_worker", Entry: "io_uring"},
		{Name: "io_uring_poller", Program: program, Argument: "io_uring_poller", Entry: "io_uring", OtherThread: true},
	}
}

// exception is a case that does not work, with its outcome and the reason. Every other
// case works on every kernel. The run fails for an exception that works, and for
// another case that does not.
type exception struct {
	arch       string // empty for all
	before     string // kernels before this version; empty for all
	hook       string // empty for all
	entryPoint string // empty for the hook itself
	outcome    report.Outcome
	because    string
}

var exceptions = []exception{
	{arch: "arm64", before: "6.4", hook: probe.HookFentry, outcome: report.Refused, because: "BPF trampolines came to arm64 with Linux 6.4"},
	{before: "6.7", entryPoint: "io_uring", outcome: report.Unsupported, because: "io_uring has getsockopt since Linux 6.7"},
	{before: "6.7", entryPoint: "io_uring_worker", outcome: report.Unsupported, because: "io_uring has getsockopt since Linux 6.7"},
	{before: "6.7", entryPoint: "io_uring_poller", outcome: report.Unsupported, because: "io_uring has getsockopt since Linux 6.7"},
	{hook: probe.HookTracepoint, entryPoint: "compat", outcome: report.Blind, because: "the kernel's syscalls tracepoints skip 32-bit calls, in every version"},
	{hook: probe.HookTracepoint, entryPoint: "socketcall", outcome: report.Blind, because: "the kernel's syscalls tracepoints skip 32-bit calls, in every version"},
}
