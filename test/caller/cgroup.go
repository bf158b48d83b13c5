// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"crypto/rand"
	"encoding/hex"
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
	mount := t.TempDir()
	// Of the whole hierarchy, wherever the host has it mounted, and if it has not.
	if err := unix.Mount("cgroup2", mount, "cgroup2", 0, ""); err != nil {
		t.Fatalf("mount cgroup2: %v: this test needs root, and a kernel with cgroup v2", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", mount, err)
		}
	})
	return CgroupAt(t, mount, path)
}

// CgroupAt does so in a hierarchy, v1 or v2, by where it is mounted.
func CgroupAt(t *testing.T, mount, path string) string {
	t.Helper()
	at := mount
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

// ContainerID is the id of a container, as engines make it up.
func ContainerID(t *testing.T) string {
	t.Helper()
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b[:])
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
