// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// archive is the Debian archive seen through a configuration and package lists
// of its own, which leave the system's alone. Its address is the one that the
// system's apt has, so that a mirror or a proxy keeps being used.
type archive struct {
	folder  string
	options []string
}

// release matches the suites of Debian itself, apart from other repositories.
var release = regexp.MustCompile(`^(bullseye|bookworm|trixie|forky|sid|oldoldstable|oldstable|stable|testing|unstable)(-updates|-backports|-security|-proposed-updates)?$`)

// openArchive reads the package lists of the given suites.
func openArchive(ctx context.Context, folder string, suites []string) (*archive, error) {
	mirrors, err := mirrors(ctx)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o755); err != nil {
			return nil, fmt.Errorf("create the folder of the package lists: %w", err)
		}
	}
	var sources bytes.Buffer
	for _, suite := range suites {
		mirror := mirrors[strings.HasSuffix(suite, "-security")]
		if mirror == "" {
			continue // this system takes no security updates: what the main archive has will do
		}
		fmt.Fprintf(&sources, "deb [arch=amd64,arm64] %s %s main\n", mirror, suite)
	}
	list := filepath.Join(folder, "sources.list")
	if err := os.WriteFile(list, sources.Bytes(), 0o644); err != nil {
		return nil, fmt.Errorf("write the package sources: %w", err)
	}
	a := &archive{folder: folder, options: []string{
		"-o", "Dir::Etc::sourcelist=" + list,
		"-o", "Dir::Etc::sourceparts=/dev/null",
		"-o", "Dir::State::lists=" + filepath.Join(folder, "lists"),
		"-o", "Dir::State::status=/dev/null",
		"-o", "Dir::Cache=" + filepath.Join(folder, "cache"),
		"-o", "APT::Architectures::=amd64",
		"-o", "APT::Architectures::=arm64",
		"-o", "APT::Sandbox::User=root",
		"-o", "Acquire::Languages=none",
		"-o", "Acquire::Retries=3",
		"-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
	}}
	if _, err := a.run(ctx, "apt-get", "update"); err != nil {
		return nil, err
	}
	return a, nil
}

// mirrors returns the archive's address, and under true that of its security
// updates.
func mirrors(ctx context.Context) (map[bool]string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(RELEASE) $(SITE)", "Created-By: Packages").Output()
	if err != nil {
		return nil, fmt.Errorf("ask apt for its sources: %w", err)
	}
	found := make(map[bool]string)
	for line := range strings.Lines(string(out)) {
		suite, mirror, _ := strings.Cut(strings.TrimSpace(line), " ")
		if release.MatchString(suite) {
			found[strings.HasSuffix(suite, "-security")] = mirror
		}
	}
	if found[false] == "" {
		return nil, errors.New("apt on this system has no Debian archive: the kernels come from one")
	}
	return found, nil
}

// download gets the newest package that matches into the current folder of the
// archive, and returns its file. A list may be ahead of its mirror: then the
// next newest does.
func (a *archive) download(ctx context.Context, pattern *regexp.Regexp, arch string) (string, error) {
	out, err := a.run(ctx, "apt-cache", "pkgnames", "linux-")
	if err != nil {
		return "", err
	}
	var names []string
	for name := range strings.FieldsSeq(string(out)) {
		if pattern.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return slices.Compare(numbersIn(b), numbersIn(a)) })
	failed := fmt.Errorf("no package matches %s", pattern)
	for _, name := range names {
		if _, err = a.run(ctx, "apt-get", "download", name+":"+arch); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		files, err := filepath.Glob(filepath.Join(a.folder, name+"_*_"+arch+".deb"))
		if err != nil {
			return "", fmt.Errorf("find what apt downloaded: %w", err)
		}
		if len(files) != 1 {
			return "", fmt.Errorf("find what apt downloaded of %s: %d files, want 1", name, len(files))
		}
		return files[0], nil
	}
	return "", failed
}

// run runs an apt command on the archive.
func (a *archive) run(ctx context.Context, command string, arguments ...string) ([]byte, error) {
	var stderr bytes.Buffer
	c := exec.CommandContext(ctx, command, append(slices.Clone(a.options), arguments...)...)
	c.Dir = a.folder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", command, strings.Join(arguments, " "), err, stderr.Bytes())
	}
	return out, nil
}

var digits = regexp.MustCompile(`\d+`)

// numbersIn makes package names comparable by version.
func numbersIn(name string) []int {
	var numbers []int
	for _, d := range digits.FindAllString(name, -1) {
		n, err := strconv.Atoi(d)
		if err != nil {
			n = math.MaxInt // no version has so many digits
		}
		numbers = append(numbers, n)
	}
	return numbers
}
