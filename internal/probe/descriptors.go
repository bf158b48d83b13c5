// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// descriptorsNeeded is how many files a start may open, and some more: the rest of the
// Collector opens files at the same time.
const descriptorsNeeded = 256

// checkDescriptors checks that a start can open its files, by opening as many. To fail
// later would be too late: the feature tests of the eBPF library would report features as
// missing, and cache that.
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
			return explainDescriptorLimit(fmt.Errorf("open %d files, only %d could be opened: %w", descriptorsNeeded, len(opened), err))
		}
		opened = append(opened, fd)
	}
	return nil
}

// explainDescriptorLimit returns an error that names the limit on open files which an
// error reports, nil if it reports none.
func explainDescriptorLimit(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return fmt.Errorf("read the limit on open files: %w", err)
		}
		return fmt.Errorf("the limit of %d open files of the process is too low: raise the limit (systemd: LimitNOFILE=, container: --ulimit nofile=, shell: ulimit -n): %w", limit.Cur, err)
	case errors.Is(err, unix.ENFILE):
		return fmt.Errorf("the limit on open files of the host is reached: raise the limit (sysctl fs.file-max): %w", err)
	}
	return nil
}
