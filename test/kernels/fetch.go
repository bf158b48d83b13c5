// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// fetch makes sure that every kernel is in the cache, and returns their files
// in the same order. refresh looks for newer ones.
func fetch(ctx context.Context, cache string, wanted []kernel, refresh bool) ([]string, error) {
	files := make([]string, len(wanted))
	var missing []int
	var suites []string
	for i, k := range wanted {
		files[i] = filepath.Join(cache, k.String(), "vmlinuz")
		if _, err := os.Stat(files[i]); err == nil && !refresh {
			continue
		}
		missing = append(missing, i)
		for _, s := range k.suites {
			if !slices.Contains(suites, s) {
				suites = append(suites, s)
			}
		}
	}
	if len(missing) == 0 {
		return files, nil
	}
	apt := filepath.Join(cache, "apt")
	defer os.RemoveAll(apt) // the lists are large, and old tomorrow
	a, err := openArchive(ctx, apt, suites)
	if err != nil {
		return nil, err
	}
	for _, i := range missing {
		k := wanted[i]
		deb, err := a.download(ctx, k.pattern, k.arch)
		if err != nil {
			return nil, fmt.Errorf("find kernel %s: %w", k, err)
		}
		fmt.Printf("%-11s %s\n", k, filepath.Base(deb))
		if err := extract(ctx, deb, files[i]); err != nil {
			return nil, fmt.Errorf("extract kernel %s: %w", k, err)
		}
	}
	return files, nil
}

// extract takes the kernel's image out of its package.
func extract(ctx context.Context, deb, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	c := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	c.Stderr = os.Stderr
	output, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	found, err := copyImage(output, file)
	// Read to the end, or dpkg-deb complains.
	_, rest := io.Copy(io.Discard, output)
	if err := errors.Join(err, rest, c.Wait()); err != nil {
		return err
	}
	if !found {
		return errors.New("the package has no vmlinuz")
	}
	return nil
}

// copyImage copies the file vmlinuz* of an archive, and reports whether there is
// one.
func copyImage(archive io.Reader, file string) (bool, error) {
	for files := tar.NewReader(archive); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		if strings.HasPrefix(filepath.Base(header.Name), "vmlinuz") && header.Typeflag == tar.TypeReg {
			return true, replace(file, files)
		}
	}
}

// replace writes a file in one step, so that an interrupted run leaves no half
// of one in the cache.
func replace(file string, content io.Reader) error {
	f, err := os.CreateTemp(filepath.Dir(file), "new-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
