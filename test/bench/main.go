// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// roleVariable names which of the benchmark's processes this is.
const roleVariable = "GETSOCKOPT_BENCH_ROLE"

const (
	roleBench     = "bench"     // measures
	roleLoad      = "load"      // makes calls
	roleCollector = "collector" // holds a receiver
	roleSink      = "sink"      // counts what a Collector sends
)

func main() {
	var err error
	switch os.Getenv(roleVariable) {
	case roleLoad:
		err = load(os.Stdin, os.Stdout)
	case roleCollector:
		err = collector(os.Stdin, os.Stdout)
	case roleSink:
		err = serveSink(os.Stdin, os.Stdout)
	case roleBench:
		err = bench()
	default:
		err = isolate()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// isolate runs the benchmark in a mount namespace of its own, where it can
// mount the tracefs that the peers need without a trace on the host.
func isolate() error {
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Env = append(os.Environ(), roleVariable+"="+roleBench)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	runtime.LockOSThread() // the child's life hangs on this thread's
	// The terminal sends SIGINT to both; the child cleans up, this one waits.
	signal.Ignore(os.Interrupt)
	err := c.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	return err
}

// settings are those of the command line.
type settings struct {
	out     string
	rounds  int
	batches int
	parts   []string
	modes   []string // none: all
	steady  time.Duration

	// What the host offers, and what runs there anyway.
	hooks     []string
	residents residents
}

func bench() error {
	var s settings
	var parts, modes string
	flag.StringVar(&s.out, "out", "", "`file` to write the results to, as JSON")
	flag.IntVar(&s.rounds, "rounds", 9, "`rounds` of the first part, in each of which every mode has its turn")
	flag.IntVar(&s.batches, "batches", 24, "`batches` of calls in each turn, whose median counts")
	flag.DurationVar(&s.steady, "steady", 30*time.Second, "`time` that a steady load is measured for, whole collections of 10 s")
	flag.StringVar(&parts, "parts", "calls,growth,contention,uring,spans,collection,process,operator", "which `parts` to run")
	flag.StringVar(&modes, "modes", "", "only the `modes` of the first part whose names contain one of these")
	flag.Parse()
	s.parts = strings.Split(parts, ",")
	if modes != "" {
		s.modes = strings.Split(modes, ",")
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := mountTracefs(); err != nil {
		return err
	}
	split, err := splitCPUs()
	if err != nil {
		return err
	}
	if err := pinProcess(split.rest); err != nil {
		return err
	}
	if s.residents, err = findResidents(); err != nil {
		return err
	}
	if len(s.residents) > 0 {
		fmt.Printf("%d other tracing programs are loaded and stay: they are part of every number\n", len(s.residents))
	}
	if s.hooks = hooksHere(ctx); len(s.hooks) == 0 {
		return errNoHook
	}
	r := report{Hooks: s.hooks}
	if r.Host, err = describeHost(); err != nil {
		return err
	}
	r.Host.print(os.Stdout)
	// The parts that are done count, whatever becomes of a later one.
	err = s.measure(ctx, split, &r)
	r.Host.LoadAfter = loadAverage()
	r.judge()
	r.printBudgets(os.Stdout)
	return errors.Join(err, r.write(s.out))
}

// measure runs the parts, up to the first that fails.
func (s settings) measure(ctx context.Context, c cpus, r *report) error {
	for _, part := range []struct {
		name string
		run  func(context.Context, settings, cpus, *report) error
	}{
		{"calls", measureCalls},
		{"growth", measureGrowth},
		{"contention", measureContention},
		{"uring", measureIOUring},
		{"spans", measureSpans},
		{"collection", measureCollection},
		{"process", measureProcess},
		{"operator", measureOperator},
	} {
		if !slices.Contains(s.parts, part.name) {
			continue
		}
		if err := part.run(ctx, s, c, r); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// mountTracefs gives the peers, which find their events by name, a tracefs
// where the host has none.
func mountTracefs() error {
	const at = "/sys/kernel/tracing"
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	if _, err := os.Stat(at + "/events"); err == nil {
		return nil
	}
	if err := unix.Mount("tracefs", at, "tracefs", 0, ""); err != nil {
		return fmt.Errorf("mount tracefs: %w", err)
	}
	return nil
}
