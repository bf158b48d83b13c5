// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

func main() {
	var o options
	flag.StringVar(&o.only, "kernel", "", "run one kernel only, such as 6.1-amd64")
	flag.StringVar(&o.collector, "collector", "dist/otelcol-getsockopt", "the Collector's binary, linked statically, for the kernels of its architecture; empty leaves it out")
	flag.BoolVar(&o.onlyCollector, "only-collector", false, "only start the Collector and make calls that it sees")
	flag.BoolVar(&o.onlyPublishers, "only-publishers", false, "only run programs that publish their active span")
	flag.BoolVar(&o.prepare, "prepare", false, "fetch the kernels and compile what they run, and run nothing")
	flag.BoolVar(&o.refresh, "refresh", false, "look for newer packages of kernels that are in the cache")
	flag.IntVar(&o.jobs, "jobs", 2, "guests at a time")
	flag.DurationVar(&o.deadline, "deadline", 30*time.Minute, "the longest that a guest may run")
	flag.BoolVar(&o.update, "update", false, "measure only what the programs cost the verifier, and write it to "+verifierFile+" and "+verifierDocument)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "kernels: %v\n", err)
		os.Exit(1)
	}
}

type options struct {
	only, collector string
	prepare         bool
	refresh, update bool
	onlyCollector   bool
	onlyPublishers  bool
	jobs            int
	deadline        time.Duration
}

func run(ctx context.Context, o options) error {
	var chosen []kernel
	// Those that take longest first, so that none is alone at the end.
	for _, everything := range []bool{true, false} {
		for _, k := range slices.Backward(kernels) {
			if k.everything == everything && (o.only == "" || o.only == k.String()) {
				chosen = append(chosen, k)
			}
		}
	}
	if chosen == nil {
		return fmt.Errorf("there is no kernel %q in the table", o.only)
	}
	table, err := readVerifierCosts(verifierFile)
	if err != nil {
		return err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	cache = filepath.Join(cache, "getsockoptreceiver", "kernels")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "kernels-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	// Kernels come from the network while the compiler works.
	var images []string
	var errFetch error
	var fetching sync.WaitGroup
	fetching.Go(func() { images, errFetch = fetch(ctx, cache, chosen, o.refresh) })
	plans, initramfs, err := buildAll(ctx, folder, chosen, o)
	fetching.Wait()
	if err := errors.Join(errFetch, err); err != nil || o.prepare {
		return err
	}

	wrong := make([]int, len(chosen))
	slots := make(chan struct{}, o.jobs)
	var running sync.WaitGroup
	var output sync.Mutex
	for i, k := range chosen {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			began := time.Now()
			log := filepath.Join(cache, k.String(), "console.log")
			results, err := boot(ctx, k, images[i], initramfs[k.arch], log, o.deadline)
			v := judge(expectations(k, plans[k.arch]), results)
			if err != nil {
				v.wrong = append(v.wrong, err.Error())
			}
			output.Lock()
			defer output.Unlock()
			if o.update && len(v.wrong) == 0 {
				table.replace(k, results)
			}
			if !o.onlyCollector && !o.onlyPublishers {
				judgeCosts(&v, k, table, results)
			}
			wrong[i] = len(v.wrong)
			show(k, v, time.Since(began), log)
		})
	}
	running.Wait()
	if o.update {
		if err := table.write(); err != nil {
			return err
		}
	}
	failed := 0
	for _, n := range wrong {
		failed += n
	}
	if failed > 0 {
		return fmt.Errorf("%d cases came out wrong", failed)
	}
	return nil
}

// buildAll makes the plans and the file systems of guests, by architecture.
func buildAll(ctx context.Context, folder string, chosen []kernel, o options) (plans map[string]report.Plan, initramfs map[string]string, err error) {
	plans, initramfs = make(map[string]report.Plan), make(map[string]string)
	for _, k := range chosen {
		if initramfs[k.arch] != "" {
			continue
		}
		collector, err := collectorFor(k, o)
		if err != nil {
			return nil, nil, err
		}
		plans[k.arch] = planFor(k.arch, collector, o)
		if initramfs[k.arch], err = build(ctx, folder, k.arch, collector, plans[k.arch]); err != nil {
			return nil, nil, err
		}
	}
	return plans, initramfs, nil
}

// collectorFor is the Collector that runs on a kernel, if it is of the same architecture.
// make test-kernels has none for arm64: cross-compiling it takes longer than all the rest.
func collectorFor(k kernel, o options) (string, error) {
	if o.collector == "" {
		return "", nil
	}
	binary, err := elf.Open(o.collector)
	if err != nil {
		return "", fmt.Errorf("read the Collector's binary: %w", err)
	}
	defer binary.Close()
	if machine[k.arch].elf != binary.Machine {
		if o.onlyCollector {
			return "", fmt.Errorf("%s is for %v, and %s is not", o.collector, binary.Machine, k)
		}
		return "", nil
	}
	return o.collector, nil
}

func show(k kernel, v verdict, took time.Duration, log string) {
	skipped := 0
	for _, n := range v.skipped {
		skipped += n
	}
	fmt.Printf("%-11s %d work, %d skipped, %d wrong in %.0fs\n", k, v.works, skipped, len(v.wrong), took.Seconds())
	if v.distance != "" {
		fmt.Printf("    verifier: %s\n", v.distance)
	}
	for _, because := range slices.Sorted(maps.Keys(v.skipped)) {
		fmt.Printf("    skipped %d: %s\n", v.skipped[because], because)
	}
	for _, w := range v.wrong {
		fmt.Printf("    WRONG %s\n", w)
	}
	if len(v.wrong) > 0 {
		fmt.Printf("    console: %s\n", log)
	}
}
