// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/test/bench/empty"
)

// cpus is where the load runs, and where everything else does.
type cpus struct {
	load int
	rest []int
}

// all returns all CPUs, that of the load first.
func (c cpus) all() []int {
	return slices.Compact(append([]int{c.load}, c.rest...))
}

// splitCPUs keeps the last CPU for the load.
func splitCPUs() (cpus, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return cpus{}, fmt.Errorf("read the CPUs that may be used: %w", err)
	}
	var all []int
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			all = append(all, i)
		}
	}
	last := len(all) - 1
	if last == 0 {
		return cpus{load: all[0], rest: all}, nil
	}
	return cpus{load: all[last], rest: all[:last]}, nil
}

// pinProcess keeps all threads of this process, and the processes it will
// start, on some CPUs.
func pinProcess(to []int) error {
	var set unix.CPUSet
	for _, cpu := range to {
		set.Set(cpu)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return fmt.Errorf("list threads: %w", err)
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return fmt.Errorf("keep to CPUs %v: %w", to, err)
		}
	}
	return nil
}

// host describes where the numbers come from.
type host struct {
	Kernel      string            `json:"kernel"`
	CPU         string            `json:"cpu"`
	CPUs        int               `json:"cpus"`
	Clock       string            `json:"clock_source"`
	ClockNS     float64           `json:"clock_reading_ns"` // bpf_ktime_get_ns, in a row
	Mitigations map[string]string `json:"mitigations"`      // those that are in force
	Go          string            `json:"go"`
	Peers       map[string]string `json:"peers"` // versions
	LoadBefore  string            `json:"load_average_before"`
	LoadAfter   string            `json:"load_average_after"`
}

func describeHost() (h host, err error) {
	h = host{
		CPUs:        runtime.NumCPU(),
		CPU:         cpuModel(),
		Clock:       line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
		Go:          runtime.Version(),
		Mitigations: map[string]string{},
		Peers:       map[string]string{},
		LoadBefore:  loadAverage(),
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		h.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	const vulnerabilities = "/sys/devices/system/cpu/vulnerabilities/"
	if found, err := os.ReadDir(vulnerabilities); err == nil {
		for _, v := range found {
			if state := line(vulnerabilities + v.Name()); state != "Not affected" {
				h.Mitigations[v.Name()] = state
			}
		}
	}
	for _, peer := range []string{"bpftrace", "perf", "strace"} {
		if out, err := exec.Command(peer, "--version").Output(); err == nil {
			first, _, _ := strings.Cut(string(out), "\n")
			h.Peers[peer] = first
		}
	}
	h.ClockNS, err = clockReading()
	return h, err
}

// clockReading returns what a reading of the clock takes in a BPF program, in ns.
func clockReading() (float64, error) {
	const readings = 100 // CLOCK_READINGS of empty.bpf.c
	const runs = 10_000
	spec, err := empty.LoadEmpty()
	if err != nil {
		return 0, err
	}
	p, err := ebpf.NewProgram(spec.Programs[empty.EmptyProgClockReadings])
	if err != nil {
		return 0, fmt.Errorf("load a program that reads the clock: %w", err)
	}
	defer p.Close()
	packet := make([]byte, 14) // the least that the kernel runs a socket filter with
	_, took, err := p.Benchmark(packet, runs, nil)
	if err != nil {
		return 0, fmt.Errorf("run a program that reads the clock: %w", err)
	}
	return float64(took) / readings, nil
}

func (h host) print(to io.Writer) {
	fmt.Fprintf(to, "kernel %s, %d × %s, clock %s with %.1f ns a reading, %s, load %s\n",
		h.Kernel, h.CPUs, h.CPU, h.Clock, h.ClockNS, h.Go, h.LoadBefore)
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for l := range strings.Lines(string(b)) {
		if key, value, found := strings.Cut(l, ":"); found && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func loadAverage() string {
	fields := strings.Fields(line("/proc/loadavg"))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// line is a file's content without the line's end; empty if it cannot be read.
func line(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
