// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// descriptorsNeeded is how many more open files a start may take, and some to
// spare: the rest of the Collector opens its own meanwhile.
const descriptorsNeeded = 96

// checkDescriptors opens as many files as a start may take, and closes them. Once
// they run out it is too late: the library's tests for features then find
// features missing, and remember it.
func checkDescriptors() error {
	opened := make([]int, 0, descriptorsNeeded)
	defer func() {
		for _, fd := range opened {
			_ = unix.Close(fd)
		}
	}()
	for len(opened) < descriptorsNeeded {
		fd, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return outOfDescriptors(fmt.Errorf("open %d more files, of which %d are to be had: %w", descriptorsNeeded, len(opened), err))
		}
		opened = append(opened, fd)
	}
	return nil
}

// outOfDescriptors adds to an error that says so which limit was met; nil for
// another one.
func outOfDescriptors(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return fmt.Errorf("read the limit on open files: %w", err)
		}
		return fmt.Errorf("the process may have %d files open, which is too few: raise the limit (systemd: LimitNOFILE=, container: --ulimit nofile=, shell: ulimit -n): %w", limit.Cur, err)
	case errors.Is(err, unix.ENFILE):
		return fmt.Errorf("the host has as many files open as it may: raise the limit (sysctl fs.file-max): %w", err)
	}
	return nil
}
