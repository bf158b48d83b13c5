// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

// machine is how QEMU makes a machine of an architecture.
var machine = map[string]struct {
	qemu    []string
	console string
	elf     elf.Machine
}{
	"amd64": {[]string{"qemu-system-x86_64", "-cpu", "max"}, "ttyS0", elf.EM_X86_64},
	// Pointer authentication by its own algorithm takes most of the time.
	"arm64": {[]string{"qemu-system-aarch64", "-M", "virt", "-cpu", "max,pauth-impdef=on"}, "ttyAMA0", elf.EM_AARCH64},
}

// parameters of the kernel: warnings are printed, and a lockup ends the guest at
// once, with its stack on the console.
const parameters = "loglevel=5 panic=-1 softlockup_panic=1"

// emulation: nested virtualisation is nowhere to be counted on. The processors
// take turns on one thread of the host, because QEMU 7.2 with a thread for each
// keeps running old code after another processor has patched it: kernels then
// loop in the breakpoint of a tracepoint that was just switched (x86), or pass
// it by (arm64).
var emulation = []string{
	"-accel", "tcg,thread=single", "-smp", "2", "-m", "1536",
	"-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio",
}

// boot runs a guest to its end, with its console in the file log. The results
// that came before an error are returned with it.
func boot(ctx context.Context, k kernel, vmlinuz, initramfs, log string, deadline time.Duration) ([]report.Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, fmt.Errorf("the guest did not end within %v", deadline))
	defer cancel()
	console, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer console.Close()
	m := machine[k.arch]
	commandLine := "console=" + m.console + " " + parameters + " " + k.parameters
	if k.everything {
		commandLine += " " + report.Everything + "=yes"
	}
	arguments := slices.Concat(m.qemu[1:], emulation, []string{
		"-kernel", vmlinuz, "-initrd", initramfs,
		"-append", commandLine,
	})
	c := exec.CommandContext(ctx, m.qemu[0], arguments...)
	c.Stderr = console
	output, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	results, err := readConsole(output, console)
	err = errors.Join(err, c.Wait())
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return results, err
}

func readConsole(output io.Reader, log io.Writer) ([]report.Result, error) {
	var results []report.Result
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadString('\n')
		if _, err := io.WriteString(log, line); err != nil {
			return results, err
		}
		if r, found := report.Parse(line); found {
			results = append(results, r)
		}
		if errors.Is(err, io.EOF) {
			return results, nil
		} else if err != nil {
			return results, err
		}
	}
}
