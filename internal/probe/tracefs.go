// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// eventID returns the number of a trace event, which perf_event_open needs.
//
// It reads a mounted tracefs if there is one. Otherwise it creates a detached mount
// (fsmount, Linux 5.2, CAP_SYS_ADMIN), which changes nothing on the host and ends with
// its descriptor.
func eventID(group, name string) (uint64, error) {
	path := "events/" + group + "/" + name + "/id"
	var mounted error
	for _, root := range []string{"/sys/kernel/tracing/", "/sys/kernel/debug/tracing/"} {
		b, err := os.ReadFile(root + path)
		if err == nil {
			return parseEventID(b)
		}
		if mounted == nil || !errors.Is(err, os.ErrNotExist) {
			mounted = err
		}
	}
	if !errors.Is(mounted, os.ErrNotExist) {
		return 0, fmt.Errorf("read the number of the tracepoint %s:%s: %w", group, name, explainTracefsError(mounted))
	}
	id, err := detachedEventID(path)
	if err != nil {
		return 0, fmt.Errorf("find the tracepoint %s:%s: tracefs is not mounted at /sys/kernel/tracing, or the kernel lacks CONFIG_FTRACE_SYSCALLS: %w",
			group, name, explainTracefsError(err))
	}
	return id, nil
}

// explainTracefsError adds the missing capability to an error. Creating a tracefs mount
// needs CAP_SYS_ADMIN (EPERM). Its files have mode 0700 and belong to root, so that
// another user needs CAP_DAC_READ_SEARCH (EACCES).
func explainTracefsError(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("missing CAP_SYS_ADMIN: grant it, or mount tracefs: %w", err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("missing CAP_DAC_READ_SEARCH, which a user other than root needs: %w", err)
	}
	return err
}

func detachedEventID(path string) (uint64, error) {
	fs, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return 0, fmt.Errorf("open a private tracefs: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return 0, fmt.Errorf("create a private tracefs: %w", err)
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("mount a private tracefs: %w", err)
	}
	defer unix.Close(mount)
	fd, err := unix.Openat(mount, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open %s in a private tracefs: %w", path, err)
	}
	defer unix.Close(fd)
	var b [32]byte
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return 0, fmt.Errorf("read %s in a private tracefs: %w", path, err)
	}
	return parseEventID(b[:n])
}

func parseEventID(b []byte) (uint64, error) {
	id, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the number of a tracepoint: %w", err)
	}
	return id, nil
}
