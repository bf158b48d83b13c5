// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/selection"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// status returns the fields of a line of /proc/PID/status.
func status(t *testing.T, pid int, name string) []string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, found := strings.CutPrefix(line, name+":"); found {
			return strings.Fields(rest)
		}
	}
	t.Fatalf("no %s in the status of %d", name, pid)
	return nil
}

func namespace(t *testing.T, path string) int64 {
	t.Helper()
	link, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	inode, err := strconv.ParseInt(link[strings.IndexByte(link, '[')+1:len(link)-1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return inode
}

// The resource describes the process, as /proc/PID does its main thread: whichever
// thread calls first, and whatever that thread changed of itself.
func TestResourceIsTheMainThreads(t *testing.T) {
	jail := t.TempDir()
	w := watch(t, probe.GroupByService, selection.List{})
	for what, script := range map[string][]string{
		"main thread":          {"call"},
		"another":              {"thread", "comm", "worker", "call"},
		"in namespaces":        {"thread", "namespaces", "call"},
		"as another user":      {"thread", "user", "call"},
		"in a root of its own": {"thread", "namespaces", "chroot", jail, "call"},
		"main thread as other": {"user", "thread", "call"},
	} {
		t.Run(what, func(t *testing.T) {
			p := start(t, exec.Command(steps, script...))
			s := w.look(t, p.pid)
			uids := status(t, p.pid, "Uid")
			proc := fmt.Sprintf("/proc/%d/", p.pid)
			line, _ := attribute(s.spans, "process.linux.cgroup").(string)
			for key, want := range map[string]any{
				"process.real_user.id":            uids[0],
				"process.user.id":                 uids[1],
				"socket.caller.network_namespace": namespace(t, proc+"ns/net"),
				"socket.caller.mount_namespace":   namespace(t, proc+"ns/mnt"),
				"socket.caller.pid_namespace":     namespace(t, proc+"ns/pid"),
				"process.executable.path":         steps,
				"service.name":                    "steps",
			} {
				if got := attribute(s.spans, key); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s is %v, want %v", key, got, want)
				}
			}
			if !slices.Contains(cgroupLines(t, p.pid), line) {
				t.Errorf("process.linux.cgroup is %q, want a line of /proc", line)
			}
			if s.process.Comm != "steps" {
				t.Errorf("comm %q, want steps", s.process.Comm)
			}
			p.end()
		})
	}
}

// A thread may be elsewhere in v1, and in the threaded cgroups of v2.
func TestResourceOfAThreadInAContainer(t *testing.T) {
	id := caller.ContainerID(t)
	w := watch(t, probe.GroupByContainer, selection.List{})
	for _, mount := range mounts(t) {
		parent := caller.CgroupAt(t, mount, "/getsockopt-"+id[:8])
		child := caller.CgroupAt(t, mount, "/getsockopt-"+id[:8]+"/docker-"+id+".scope")
		threads := filepath.Join(child, "tasks")
		if _, err := os.Stat(threads); err != nil {
			if err := os.WriteFile(filepath.Join(child, "cgroup.type"), []byte("threaded"), 0); err != nil {
				t.Fatal(err)
			}
			threads = filepath.Join(child, "cgroup.threads")
		}
		const script = `echo $$ >"$1/cgroup.procs"; exec "$0" thread enter "$2" call`
		p := start(t, exec.Command("/bin/sh", "-ec", script, steps, parent, threads))
		s := w.look(t, p.pid)
		line, _ := attribute(s.spans, "process.linux.cgroup").(string)
		if !slices.Contains(cgroupLines(t, p.pid), line) || !strings.HasSuffix(line, id[:8]) {
			t.Errorf("process.linux.cgroup is %q, want a line of /proc that ends in %s", line, id[:8])
		}
		if a, b := attribute(s.spans, "container.id"), attribute(s.metrics, "container.id"); a != nil || b != nil {
			t.Errorf("container.id is %q of spans and %q of metrics", a, b)
		}
		p.end()
	}
}

// When the main thread has ended, the process is described by what that thread still
// has, otherwise by the thread that calls.
func TestResourceAfterTheMainThreadEnded(t *testing.T) {
	w := watch(t, probe.GroupByService, selection.List{})
	p := start(t, exec.Command(steps, "last thread", "wait for its end", "namespaces", "user", "call"))
	s := w.look(t, p.pid)
	self := status(t, p.pid, "Uid") // of the main thread, which is a zombie
	task, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.pid))
	if err != nil || len(task) != 2 {
		t.Fatalf("threads %q, error %v", task, err)
	}
	for key, want := range map[string]any{
		"process.user.id":                 self[1],
		"socket.caller.network_namespace": namespace(t, task[1]+"/ns/net"),
		"socket.caller.mount_namespace":   namespace(t, task[1]+"/ns/mnt"),
		"process.executable.path":         steps,
		"service.name":                    "steps",
	} {
		if got := attribute(s.spans, key); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
}
