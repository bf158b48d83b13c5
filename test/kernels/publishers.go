// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/getsockopt/getsockoptreceiver/test/internal/threadcontext"
	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

// target is how publishers for an architecture are built, and what they need.
type target struct {
	compiler  string
	libraries map[string]string // of glibc, as the compiler calls them, and their folders in a guest
	musl      string            // the dynamic linker of musl, which is all of it
}

var targets = map[string]target{
	"amd64": {"x86_64-linux-gnu-gcc", map[string]string{"ld-linux-x86-64.so.2": "lib64", "libc.so.6": "lib"}, "lib/ld-musl-x86_64.so.1"},
	"arm64": {"aarch64-linux-gnu-gcc", map[string]string{"ld-linux-aarch64.so.1": "lib", "libc.so.6": "lib"}, "lib/ld-musl-aarch64.so.1"},
}

// addPublishers adds programs that publish their active span to the content of a guest, and
// the C libraries that they need.
func addPublishers(ctx context.Context, arch, bin string, content map[string]string) error {
	program := filepath.Join(bin, threadcontext.GoProgram)
	content[strings.TrimPrefix(filepath.Join(report.Publishers, threadcontext.GoProgram), "/")] = program
	if err := command(ctx, []string{"CGO_ENABLED=0", "GOARCH=" + arch}, "go", "-C", "test/publisher/otelprogram", "build", "-trimpath", "-o", program, "."); err != nil {
		return err
	}
	to := targets[arch]
	for name, folder := range to.libraries {
		out, err := exec.CommandContext(ctx, to.compiler, "-print-file-name="+name).Output()
		if err != nil {
			return fmt.Errorf("ask %s for %s: %w", to.compiler, name, err)
		}
		content[filepath.Join(folder, name)] = string(bytes.TrimSpace(out))
	}
	// Debian has musl for the architecture of the host alone.
	withMusl := arch == runtime.GOARCH
	if withMusl {
		content[to.musl] = "/" + to.musl
	}
	for name, m := range threadcontext.Models(arch) {
		compiler := to.compiler
		if m.Musl {
			compiler = "musl-gcc"
		}
		if m.Musl && !withMusl {
			continue
		}
		installed := filepath.Join(report.Publishers, threadcontext.Folder, name)
		folder := filepath.Join(bin, installed)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if err := m.Build(compiler, folder, installed); err != nil {
			return err
		}
		files, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		for _, f := range files {
			content[strings.TrimPrefix(filepath.Join(installed, f.Name()), "/")] = filepath.Join(folder, f.Name())
		}
	}
	return nil
}
