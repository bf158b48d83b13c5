// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// writeInitramfs writes a guest's file system: an archive in the format newc
// (Documentation/driver-api/early-userspace/buffer-format.rst) that holds the
// given files, each under its path, all executable.
func writeInitramfs(file string, content map[string]string) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	// A console, for the kernel to open as the first program's output.
	const characterDevice, consoleMajor, consoleMinor = 0o020600, 5, 1
	if err := writeEntry(w, "dev", 0o040755, 0, 0, 0, nil); err != nil {
		return err
	}
	if err := writeEntry(w, "dev/console", characterDevice, consoleMajor, consoleMinor, 0, nil); err != nil {
		return err
	}
	written := map[string]bool{".": true}
	for _, name := range slices.Sorted(maps.Keys(content)) {
		if err := writeFolder(w, filepath.Dir(name), written); err != nil {
			return err
		}
		if err := writeFile(w, name, content[name]); err != nil {
			return err
		}
	}
	if err := writeEntry(w, "TRAILER!!!", 0, 0, 0, 0, nil); err != nil {
		return err
	}
	return w.Flush()
}

func writeFolder(w io.Writer, name string, written map[string]bool) error {
	if written[name] {
		return nil
	}
	written[name] = true
	if err := writeFolder(w, filepath.Dir(name), written); err != nil {
		return err
	}
	return writeEntry(w, name, 0o040755, 0, 0, 0, nil)
}

func writeFile(w io.Writer, name, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return writeEntry(w, name, 0o100755, 0, 0, info.Size(), f)
}

// writeEntry writes the header, the name and the content, the latter two
// padded to four bytes.
func writeEntry(w io.Writer, name string, mode, major, minor uint32, size int64, content io.Reader) error {
	const headerSize = 110
	const links = 1
	_, err := fmt.Fprintf(w, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00%s",
		0, mode, 0, 0, links, 0, size, 0, 0, major, minor, len(name)+1, 0, name, padding(headerSize+int64(len(name))+1))
	if err != nil || content == nil {
		return err
	}
	if _, err := io.CopyN(w, content, size); err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	_, err = io.WriteString(w, padding(size))
	return err
}

func padding(length int64) string { return "\x00\x00\x00"[:-length&3] }
