// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
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
	// tick is the unit of start times in /proc, in nanoseconds: 1/USER_HZ, which is 1/100 s
	// on every architecture the receiver is built for.
	tick = 1_000_000_000 / 100
	// environMax is more than exec(2) accepts of arguments and environment together:
	// three quarters of 8 MiB (since 4.13).
	environMax = 8 << 20
)

var (
	// errOther: /proc describes another process, or another program in it.
	errOther = errors.New("no longer the same process image")
	// errTooLarge: a program made its environment larger than exec(2) allows.
	errTooLarge = fmt.Errorf("larger than %d bytes", environMax)
)

// Complete reads the OTEL_* variables of a process that the BPF programs could not read:
// their pages were not resident, or there are too many other variables. It changes p only
// if it succeeds, which requires that the process still runs the same program. An error
// wraps os.ErrPermission if a privilege is missing. It is safe for concurrent use, with
// different p.
func (f *Procfs) Complete(p *record.Process) error {
	if !p.EnvironmentLost {
		return nil
	}
	image := *p
	e := f.environmentOf(p.Key, func(dir string, _ []string) error { return sameImage(dir, &image) })
	if e.err != nil {
		return fmt.Errorf("read the environment of process %d: %w", p.Key.PID, e.err)
	}
	// The first value of a name counts, and that of the BPF programs was read earlier.
	p.Environment = append(p.Environment, e.variables...)
	p.EnvironmentLost = false
	return nil
}

func readEnvironment(dir string) (kept []string, cut, overwritten bool, err error) {
	f, err := os.Open(filepath.Join(dir, "environ"))
	if err != nil {
		return nil, false, false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, environMax+1))
	if err != nil {
		return nil, false, false, err
	}
	if len(b) == 0 {
		// The process is exiting and has no memory left, or it has no environment.
		return nil, false, false, io.ErrUnexpectedEOF
	}
	if len(b) > environMax {
		return nil, false, false, errTooLarge
	}
	kept, cut, overwritten = variablesIn(b)
	return kept, cut, overwritten, nil
}

// variablesIn finds the two variables with the rules of bpf/environment.h. An empty string is
// a part that the program has overwritten, and the string after it may be the end of
// another one.
func variablesIn(b []byte) (kept []string, cut, overwritten bool) {
	found := make(map[string]bool)
	distrusted, assigned := false, false
	for entry := range bytes.SplitSeq(bytes.TrimSuffix(b, []byte{0}), []byte{0}) {
		if len(entry) == 0 {
			distrusted, overwritten = true, true
			continue
		}
		if distrusted {
			distrusted = false
			continue
		}
		key, value, isVariable := bytes.Cut(entry, []byte{'='})
		assigned = assigned || isVariable
		name := string(key)
		if !isVariable || found[name] || name != serviceNameVariable && name != attributesVariable {
			continue
		}
		found[name] = true
		text, isCut := keep(name, string(value))
		cut = cut || isCut
		kept = append(kept, name+"="+text)
	}
	return kept, cut, overwritten || !assigned
}

// keep returns the kept bytes of a variable's value. For OTEL_SERVICE_NAME these are the
// bytes that a group's name may have; OTEL_RESOURCE_ATTRIBUTES keeps whole pairs.
func keep(variable, value string) (kept string, isCut bool) {
	if variable == serviceNameVariable {
		return value[:min(len(value), nameMax)], len(value) > nameMax
	}
	const limit = stringMax - len(attributesVariable) - len("=")
	if len(value) <= limit {
		return value, false
	}
	return wholePairs(value[:limit]), true
}

// sameImage checks that dir describes the process of the record. Another process may have
// the same pid and start time in a proc file system of another pid namespace, but not the
// same namespace and pid within it. An exec changes none of the four, so the name of the
// executable is compared too.
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
	return sameExecutable(dir, executableName(p))
}

// sameExecutable compares the executable's name, if it is known, with the end of its path,
// to which the kernel appends " (deleted)". The path of a file that is not mounted any more
// is "/".
func sameExecutable(dir, name string) error {
	path, err := os.Readlink(filepath.Join(dir, "exe"))
	if err != nil {
		return err
	}
	if name != "" && path != "/" && !strings.HasSuffix(path, "/"+name) && !strings.HasSuffix(path, "/"+name+" (deleted)") {
		return errOther
	}
	return nil
}

// startTicks returns the start time of a process in ticks since boot, field 22 of stat. The
// fields are counted from the last parenthesis, because the comm before it may contain
// any bytes.
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

// namespacePID returns the pid of a process in its own pid namespace: the last number of
// NSpid in status.
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
