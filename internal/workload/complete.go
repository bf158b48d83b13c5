// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

const (
	// tick is what /proc counts the start of a process in: USER_HZ, which is
	// 100 to user space on every architecture the receiver is built for.
	tick = 1_000_000_000 / 100
	// environMax bounds what is read of an environment; the rest is cut.
	environMax = 1 << 20
)

// errOther says that /proc shows another process, or another program in it.
var errOther = errors.New("no longer the same process image")

// Complete reads the OTEL_* variables of a process from procfs, a mounted
// proc file system such as "/proc", when the kernel could not: pages that are
// not resident can be had there. It changes p only when it succeeds, which
// takes a process that still runs the same program.
func Complete(procfs string, p *record.Process) error {
	if !p.EnvironmentLost {
		return nil
	}
	dir := filepath.Join(procfs, strconv.FormatUint(uint64(p.Key.PID), 10))
	environment, whole, err := readEnvironment(dir)
	if err != nil {
		return fmt.Errorf("environment of process %d: %w", p.Key.PID, err)
	}
	// The identity is checked after the reading: what was read then is what
	// the process had, unless it has changed since, and then this fails.
	if err := sameImage(dir, p); err != nil {
		return fmt.Errorf("environment of process %d: %w", p.Key.PID, err)
	}
	p.Environment = environment
	p.EnvironmentLost = false
	p.EnvironmentCut = !whole
	return nil
}

func readEnvironment(dir string) (kept []string, whole bool, err error) {
	f, err := os.Open(filepath.Join(dir, "environ"))
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, environMax+1))
	if err != nil {
		return nil, false, err
	}
	if len(b) == 0 {
		// A process on its way out has no memory left. One that never had an
		// environment has lost nothing either.
		return nil, false, io.ErrUnexpectedEOF
	}
	whole = len(b) <= environMax
	for entry := range strings.SplitSeq(string(b[:min(len(b), environMax)]), "\x00") {
		if strings.HasPrefix(entry, "OTEL_") && strings.Contains(entry, "=") {
			kept = append(kept, strings.Clone(entry)) // else it would hold on to all of b
		}
	}
	return kept, whole, nil
}

// sameImage checks that dir describes the process of the record. A pid and a
// start time could be another process's, seen through a proc file system of
// another pid namespace; the namespace and the pid within it cannot. An exec
// changes none of the four, so the executable's name is compared as well.
func sameImage(dir string, p *record.Process) error {
	start, err := startTicks(dir)
	if err != nil {
		return err
	}
	if start != p.Key.Start/tick {
		return errOther
	}
	vpid, err := namespacePID(dir)
	if err != nil {
		return err
	}
	if vpid != p.NamespacePID {
		return errOther
	}
	namespace, err := os.Readlink(filepath.Join(dir, "ns", "pid"))
	if err != nil {
		return err
	}
	if namespace != "pid:["+strconv.FormatUint(uint64(p.PIDNamespace), 10)+"]" {
		return errOther
	}
	executable, err := os.Readlink(filepath.Join(dir, "exe"))
	if err != nil {
		return err
	}
	if filepath.Base(strings.TrimSuffix(executable, " (deleted)")) != executableName(p) {
		return errOther
	}
	return nil
}

// startTicks returns field 22 of stat. The fields are counted from the last
// parenthesis, because the comm before it may hold anything.
func startTicks(dir string) (uint64, error) {
	b, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("stat: %w", io.ErrUnexpectedEOF)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// namespacePID returns the last number of NSpid in status: the process's pid
// in its own pid namespace.
func namespacePID(dir string) (uint32, error) {
	b, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if numbers, found := strings.CutPrefix(line, "NSpid:"); found {
			if fields := strings.Fields(numbers); len(fields) > 0 {
				pid, err := strconv.ParseUint(fields[len(fields)-1], 10, 32)
				return uint32(pid), err
			}
		}
	}
	return 0, fmt.Errorf("status: no NSpid")
}
