// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// container is one of the known program.
type container struct {
	name, id string
	start    func() *harness.Process
}

// cgroups is the part of the cgroup hierarchies that a test's containers are in.
type cgroups string

func newCgroups(t *testing.T) cgroups {
	t.Helper()
	c := cgroups("/getsockopt-kubernetes-" + caller.ContainerID(t)[:8])
	t.Cleanup(func() {
		for _, mount := range hierarchies(t) {
			var made []string
			err := filepath.WalkDir(mount+string(c), func(path string, entry fs.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					made = append([]string{path}, made...)
				}
				return nil // the container engine removes cgroups meanwhile
			})
			if err != nil {
				t.Error(err)
			}
			for _, path := range made {
				// Those who ended may take a moment to leave.
				if err := harness.Await(limit, func() error {
					if err := unix.Rmdir(path); err != nil && !os.IsNotExist(err) {
						return err
					}
					return nil
				}); err != nil {
					t.Errorf("remove %s: %v", path, err)
				}
			}
		}
	})
	return c
}

// hierarchies returns where cgroup hierarchies are mounted.
func hierarchies(t *testing.T) (mounts []string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 2 && (f[2] == "cgroup" || f[2] == "cgroup2") {
			mounts = append(mounts, f[1])
		}
	}
	return mounts
}

// program is what a container runs: calls within seconds, and its environment.
func program(calls, seconds string) []string { return []string{"/" + known, calls, seconds} }

// runc makes a container as containerd does: with a cgroup that has its name from the
// layout, in which ID stands for the container's id.
func (c cgroups) runc(t *testing.T, name, layout string, args []string, env ...string) *container {
	t.Helper()
	id := caller.ContainerID(t)
	var namespaces []any
	for _, kind := range []string{"pid", "ipc", "uts", "mount", "network"} {
		namespaces = append(namespaces, map[string]any{"type": kind})
	}
	config, err := json.Marshal(map[string]any{
		"ociVersion": "1.0.2",
		"process":    map[string]any{"args": args, "env": env, "cwd": "/", "user": map[string]any{"uid": 65532, "gid": 65532}},
		"root":       map[string]any{"path": image, "readonly": true},
		"mounts":     []any{map[string]any{"destination": "/proc", "type": "proc", "source": "proc"}},
		"linux":      map[string]any{"cgroupsPath": string(c) + "/" + strings.ReplaceAll(layout, "ID", id), "namespaces": namespaces},
	})
	if err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Dir(harness.WriteFile(t, "config.json", string(config)))
	runc := func(args ...string) *exec.Cmd {
		return exec.Command("runc", append([]string{"--root", filepath.Join(bundle, "state")}, args...)...)
	}
	t.Cleanup(func() {
		if output, err := runc("delete", "--force", id).CombinedOutput(); err != nil {
			t.Errorf("remove the container: %v\n%s", err, output)
		}
	})
	return &container{name, id, func() *harness.Process { return harness.Run(t, runc("run", "--bundle", bundle, id)) }}
}

// podman makes a container below the cgroup of a pod.
func (c cgroups) podman(t *testing.T, name, layout string, args ...string) *container {
	t.Helper()
	// podman takes no path of more than 50 characters.
	dir, err := os.MkdirTemp("", "podman")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	engine := []string{
		"--root", filepath.Join(dir, "storage"), "--runroot", filepath.Join(dir, "run"),
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", "runc", "--events-backend", "none",
	}
	podman := func(args ...string) *exec.Cmd { return exec.Command("podman", append(engine, args...)...) }
	// Without limits of its own: this host may have lower ones than podman sets, or lack a
	// controller.
	create := podman(append([]string{
		"create", "--cgroup-parent", string(c) + "/" + layout, "--network", "none", "--pids-limit", "0",
		"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--rootfs", image,
	}, args...)...)
	output, err := create.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", create, err, output)
	}
	id := strings.TrimSpace(string(output))
	t.Cleanup(func() {
		if output, err := podman("rm", "--force", id).CombinedOutput(); err != nil {
			t.Errorf("remove the container: %v\n%s", err, output)
		}
	})
	return &container{name, id, func() *harness.Process { return harness.Run(t, podman("start", "--attach", id)) }}
}

// end waits until a container has ended by itself.
func end(t *testing.T, p *harness.Process) {
	t.Helper()
	if status, err := p.AwaitExit(limit); err != nil || status != 0 {
		t.Fatalf("the container ended with status %d, %v\n%s", status, err, p.Output())
	}
}
