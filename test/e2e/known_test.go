// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// known is a run of the known program.
type known struct {
	service     string // that its calls must be found under
	cmd         *exec.Cmd
	began, over time.Time
}

// atOnce lets a program that is built with the race detector, as the known one
// may be, exit at once in place of after a second.
const atOnce = "GORACE=atexit_sleep_ms=0"

// runKnown runs the known program to its end.
func runKnown(t *testing.T, service string, cmd *exec.Cmd) known {
	t.Helper()
	cmd.Env = append(cmd.Env, atOnce)
	k := known{service: service, cmd: cmd, began: time.Now()}
	caller.Run(t, cmd)
	k.over = time.Now()
	return k
}

func (k known) pid() int { return k.cmd.Process.Pid }

// copied makes the known program an executable of that name.
func copied(t *testing.T, cmd *exec.Cmd, name string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	copyFile(t, cmd.Path, path)
	cmd.Path = path
	return cmd
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkResource compares with what /proc, or the test, knows of the process.
func (k known) checkResource(t *testing.T, spans []span, own attributes) {
	t.Helper()
	want := attributes{
		"service.name":                    k.service,
		"process.pid":                     int64(k.pid()),
		"process.parent_pid":              int64(os.Getpid()),
		"process.vpid":                    int64(k.pid()),
		"process.executable.name":         filepath.Base(k.cmd.Path),
		"process.executable.path":         k.cmd.Path,
		"process.user.id":                 int64(os.Geteuid()),
		"process.real_user.id":            int64(os.Getuid()),
		"socket.caller.pid_namespace":     inode(t, "/proc/self/ns/pid"),
		"socket.caller.mount_namespace":   inode(t, "/proc/self/ns/mnt"),
		"socket.caller.network_namespace": inode(t, "/proc/self/ns/net"),
	}
	maps.Copy(want, own)
	for i, s := range spans {
		got := maps.Clone(s.resource)
		created, _ := got["process.creation.time"].(string)
		at, err := time.Parse(time.RFC3339, created)
		// Processes are dated by the kernel's clock of boot times.
		if err != nil || at.Before(k.began.Add(-time.Second)) || at.After(k.over.Add(time.Second)) {
			t.Errorf("span %d: created at %q, started between %v and %v", i, created, k.began, k.over)
		}
		delete(got, "process.creation.time")
		// TestContainerIDsAgreeWithProcfs looks at those.
		delete(got, "process.linux.cgroup")
		delete(got, "container.id")
		if !maps.Equal(got, want) {
			t.Errorf("span %d: resource\n%v, want\n%v", i, listed(got), listed(want))
			return
		}
	}
}

var namespaceLink = regexp.MustCompile(`^\w+:\[(\d+)\]$`)

// inode returns the number of a namespace.
func inode(t *testing.T, path string) int64 {
	t.Helper()
	link, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	match := namespaceLink.FindStringSubmatch(link)
	if match == nil {
		t.Fatalf("%s is %q", path, link)
	}
	n, err := strconv.ParseInt(match[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
