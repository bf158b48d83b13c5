// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest is the first program of a test machine, see test/kernels")
		os.Exit(1)
	}
	if err := run(); err != nil {
		fmt.Printf("guest: %v\n", err)
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Printf("guest: power off: %v\n", err)
	}
}

func run() error {
	if len(os.Args) == 1 {
		if err := setUp(); err != nil {
			return err
		}
		// Again, because packages look at /proc before main.
		return fmt.Errorf("start again: %w", unix.Exec(os.Args[0], []string{os.Args[0], "plan"}, os.Environ()))
	}
	b, err := os.ReadFile(report.PlanFile)
	if err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	var plan report.Plan
	if err := json.Unmarshal(b, &plan); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	conclude(report.Boot, nil)
	for _, t := range plan.Tests {
		runTests(t)
	}
	for _, hook := range plan.Hooks {
		runProbe(hook, plan.EntryPoints)
	}
	for _, hook := range plan.CollectorHooks {
		runCollector(plan.Collector, hook, plan.EntryPoints)
	}
	conclude(report.Done, nil)
	return nil
}

// errOutcome is an error that is no failure: a refused hook, a missing entry point.
type errOutcome struct {
	outcome report.Outcome
	error
}

// conclude reports a case: that it works, when err is nil.
func conclude(name string, err error) {
	r := report.Result{Case: name, Outcome: report.Works}
	if err != nil {
		r.Outcome, r.Detail = report.Failed, err.Error()
		var other errOutcome
		if errors.As(err, &other) {
			r.Outcome = other.outcome
		}
	}
	fmt.Print(r.Line())
}
