// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

// compilers are those of the entry points, by the name of their program: Debian's
// gcc-multilib, the usual one for i386, cannot be installed together with those for
// other architectures.
var compilers = map[string]map[string]string{
	"amd64": {"entrypoints-amd64": "x86_64-linux-gnu-gcc", "entrypoints-i386": "i686-linux-gnu-gcc"},
	"arm64": {"entrypoints-arm64": "aarch64-linux-gnu-gcc", "entrypoints-armhf": "arm-linux-gnueabihf-gcc"},
}

// Test binaries of a guest.
const (
	probeTests     = "/probe.test"
	publisherTests = "/publisher.test"
)

var testPackages = map[string]string{probeTests: "./internal/probe", publisherTests: "./test/publisher"}

// planFor is what the guests of an architecture do, without the Collector when
// its binary's name is empty. With update they measure what the programs cost
// the verifier, and nothing else.
func planFor(arch, collector string, o options) report.Plan {
	if o.onlyCollector {
		return report.Plan{Collector: "/otelcol", CollectorHooks: []string{probe.HookAuto}, EntryPoints: entryPoints[arch][:1]}
	}
	publishers := report.Tests{Binary: publisherTests, Only: "^(TestThreadContexts|TestGoLabels)$"}
	if o.onlyPublishers {
		return report.Plan{Tests: []report.Tests{publishers}}
	}
	if o.update {
		return report.Plan{Tests: []report.Tests{{Binary: probeTests, Only: "^TestVerifierCost$"}}}
	}
	tests := report.Tests{Binary: probeTests, SameEverywhere: "^(" + strings.Join(sameEverywhere, "|") + ")$"}
	plan := report.Plan{Tests: []report.Tests{tests, publishers}, Hooks: hooks, EntryPoints: entryPoints[arch]}
	if collector != "" {
		plan.Collector, plan.CollectorHooks = "/otelcol", hooks
	}
	return plan
}

// build makes a guest's file system for an architecture.
func build(ctx context.Context, folder, arch, collector string, plan report.Plan) (string, error) {
	bin := filepath.Join(folder, "bin-"+arch)
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	content := make(map[string]string)
	add := func(name string) string {
		content[name] = filepath.Join(bin, name)
		return content[name]
	}
	// With the flags of the Collectors, whose compiled packages are in Go's cache.
	toolchain := []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch}
	if err := command(ctx, toolchain, "go", "build", "-trimpath", "-o", add("init"), "./test/kernels/guest"); err != nil {
		return "", err
	}
	for _, t := range plan.Tests {
		if err := command(ctx, toolchain, "go", "test", "-c", "-trimpath", "-o", add(strings.TrimPrefix(t.Binary, "/")), testPackages[t.Binary]); err != nil {
			return "", err
		}
		if t.Binary != publisherTests {
			continue
		}
		if err := addPublishers(ctx, arch, bin, content); err != nil {
			return "", err
		}
	}
	for name, compiler := range compilers[arch] {
		if err := command(ctx, nil, compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", add(name),
			"test/kernels/entrypoints/entrypoints.c", "test/kernels/entrypoints/io_uring.c"); err != nil {
			return "", err
		}
	}
	if plan.Collector != "" {
		content[strings.TrimPrefix(plan.Collector, "/")] = collector
	}
	b, err := json.Marshal(plan)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(add(strings.TrimPrefix(report.PlanFile, "/")), b, 0o644); err != nil {
		return "", err
	}
	initramfs := filepath.Join(folder, "initramfs-"+arch)
	return initramfs, writeInitramfs(initramfs, content)
}

// command runs a build step, and returns its output only when it fails.
func command(ctx context.Context, environment []string, name string, arguments ...string) error {
	var output bytes.Buffer
	c := exec.CommandContext(ctx, name, arguments...)
	c.Env = append(os.Environ(), environment...)
	c.Stdout, c.Stderr = &output, &output
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, output.Bytes())
	}
	return nil
}
