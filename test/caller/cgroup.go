// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroup makes a cgroup of v2 with those above it, and returns its folder, whose
// cgroup.procs takes processes. What it made is removed at the end of the test.
func Cgroup(t *testing.T, path string) string {
	t.Helper()
	at := t.TempDir()
	// Of the whole hierarchy, wherever the host has it mounted, and if it has not.
	if err := unix.Mount("cgroup2", at, "cgroup2", 0, ""); err != nil {
		t.Fatalf("mount cgroup2: %v: this test needs root, and a kernel with cgroup v2", err)
	}
	mount := at
	t.Cleanup(func() {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", mount, err)
		}
	})
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		at = filepath.Join(at, part)
		err := os.Mkdir(at, 0o755)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		made := at
		t.Cleanup(func() { removeCgroup(t, made) })
	}
	return at
}

// Enter makes the command begin in a cgroup of v2 (CLONE_INTO_CGROUP, 5.7).
func Enter(t *testing.T, c *exec.Cmd, cgroup string) {
	t.Helper()
	fd, err := unix.Open(cgroup, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open the cgroup %s: %v", cgroup, err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
}

// removeCgroup waits for processes that have ended, which may take a moment to leave.
func removeCgroup(t *testing.T, at string) {
	var err error
	for range 100 {
		if err = unix.Rmdir(at); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		t.Errorf("remove %s: %v", at, err)
	}
}
