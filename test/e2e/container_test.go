// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// hierarchy is a mounted cgroup hierarchy. The name is as in the second column
// of /proc/PID/cgroup, empty for v2.
type hierarchy struct{ name, mount string }

// hierarchies finds what is mounted and may be written to.
func hierarchies(t *testing.T) []hierarchy {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	var all []hierarchy
	for line := range strings.Lines(string(b)) {
		before, after, _ := strings.Cut(strings.TrimSpace(line), " - ")
		fields, super := strings.Fields(before), strings.Fields(after)
		// A mount of a part of the hierarchy shows other paths than /proc does.
		if len(fields) < 5 || len(super) < 3 || fields[3] != "/" {
			continue
		}
		h := hierarchy{mount: fields[4]}
		if super[0] == "cgroup" {
			h.name = named(string(own), super[2])
		}
		isHierarchy := super[0] == "cgroup2" || h.name != ""
		// Once each, wherever else it is mounted.
		if isHierarchy && !slices.ContainsFunc(all, func(other hierarchy) bool { return other.name == h.name }) {
			all = append(all, h)
		}
	}
	if len(all) == 0 {
		t.Fatalf("no cgroup hierarchy is mounted: these tests need one\n%s", b)
	}
	return all
}

// named returns what /proc calls the hierarchy of a mount's options. The
// cpuset controller wants settings before it takes a process, so it is left
// out.
func named(own, options string) string {
	for line := range strings.Lines(own) {
		name := strings.SplitN(line, ":", 3)[1]
		if name != "" && name != "cpuset" && slices.Contains(strings.Split(options, ","), strings.Split(name, ",")[0]) {
			return name
		}
	}
	return ""
}

// entering makes the known program enter cgroups before it begins, and print
// where the kernel has it.
func entering(cmd *exec.Cmd, cgroups ...string) *exec.Cmd {
	const script = `
for cgroup; do echo $$ >"$cgroup/cgroup.procs" || exit 1; done
while read -r line; do echo "$line"; done </proc/$$/cgroup
exec "$0"`
	cmd.Env = append(cmd.Env, atOnce)
	cmd.Args = append([]string{"sh", "-c", script, cmd.Path}, cgroups...)
	cmd.Path = "/bin/sh"
	return cmd
}

// The container engines' ways to name a cgroup; ID stands for a container's id.
var engines = []struct{ name, path string }{
	{"docker, systemd", "/system.slice/docker-ID.scope"},
	{"docker, cgroupfs", "/docker/ID"},
	{"containerd of Kubernetes, systemd", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podf1e8ee31_1ff3_4d85_b4c5_a3a9b0d2e4a1.slice/cri-containerd-ID.scope"},
	{"containerd of Kubernetes, cgroupfs", "/kubepods/besteffort/podf1e8ee31-1ff3-4d85-b4c5-a3a9b0d2e4a1/ID"},
	{"containerd, nerdctl", "/system.slice/nerdctl-ID.scope"},
	{"CRI-O, systemd", "/kubepods.slice/kubepods-podf1e8ee31_1ff3_4d85_b4c5_a3a9b0d2e4a1.slice/crio-ID.scope"},
	{"CRI-O, init in a cgroup of its own", "/kubepods.slice/crio-ID.scope/container"},
	{"podman", "/machine.slice/libpod-ID.scope"},
	{"podman, split", "/machine.slice/libpod-ID.scope/container"},
	{"podman without root", "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container"},
}

// outside are cgroups that name a container which their processes are not in.
var outside = []struct{ name, path string }{
	{"podman's monitor", "/machine.slice/libpod-conmon-ID.scope"},
	{"CRI-O's monitor", "/system.slice/crio-conmon-ID.scope"},
	{"a service", "/system.slice/ssh.service"},
}

// The kernel's cgroup paths, v1 and v2, become container ids. What /proc reports
// of the same process is the reference.
func TestContainerIDsAgreeWithProcfs(t *testing.T) {
	sink := newSink(t)
	c := collector(t, sink.config(t, onlyKnown(t), noMetrics))
	// A name of the test's own at the top keeps it apart from what the host has.
	top := "/getsockopt-e2e-" + caller.ContainerID(t)[:8]
	place := func(t *testing.T, path string, container string, all ...hierarchy) {
		var cgroups []string
		for _, h := range all {
			cgroups = append(cgroups, caller.CgroupAt(t, h.mount, path))
		}
		cmd := entering(caller.Command(t, "kinds:1", "OTEL_SERVICE_NAME=contained"), cgroups...)
		var reference bytes.Buffer
		cmd.Stdout, cmd.Stderr = &reference, os.Stderr
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		placed := placesOf(t, reference.String())
		for _, h := range all {
			if placed[h.name] != path {
				t.Fatalf("the process is not where it was put:\n%s", &reference)
			}
		}
		checkContainer(t, sink, cmd.Process.Pid, container, placed)
	}
	seen := map[bool]bool{} // v2
	for _, h := range hierarchies(t) {
		version := "v1 " + h.name
		if h.name == "" {
			version = "v2"
		}
		t.Run(version, func(t *testing.T) {
			// The hierarchies of one version differ by nothing but their names.
			engines, outside := engines, outside
			if seen[h.name == ""] {
				engines, outside = engines[:1], nil
			}
			seen[h.name == ""] = true
			for _, e := range engines {
				t.Run(e.name, func(t *testing.T) {
					id := caller.ContainerID(t)
					place(t, top+strings.ReplaceAll(e.path, "ID", id), id, h)
				})
			}
			for _, o := range outside {
				t.Run(o.name, func(t *testing.T) {
					place(t, top+strings.ReplaceAll(o.path, "ID", caller.ContainerID(t)), "", h)
				})
			}
		})
	}
	// As an engine on v1 places it: everywhere at once.
	t.Run("all hierarchies", func(t *testing.T) {
		id := caller.ContainerID(t)
		place(t, top+"/docker/"+id, id, hierarchies(t)...)
	})
	c.stop(t)
}

// placesOf reads /proc/PID/cgroup: where a process is in each hierarchy.
func placesOf(t *testing.T, cgroups string) map[string]string {
	t.Helper()
	places := map[string]string{}
	for line := range strings.Lines(cgroups) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			t.Fatalf("not a line of /proc/PID/cgroup: %q", line)
		}
		places[fields[1]] = fields[2]
	}
	return places
}

func checkContainer(t *testing.T, sink *sink, pid int, container string, placed map[string]string) {
	t.Helper()
	kinds := len(caller.Kinds())
	harness.Eventually(t, arrivalLimit, "the calls arrive", func() bool { return len(sink.spansOf(pid)) == kinds },
		sink.summary("contained", pid))
	for _, s := range sink.spansOf(pid) {
		if got, _ := s.resource["container.id"].(string); got != container {
			t.Errorf("container.id is %q, want %q", got, container)
		}
		// Its line of /proc/PID/cgroup: that of v2, otherwise that of a v1 hierarchy.
		got, _ := s.resource["process.linux.cgroup"].(string)
		if v2, found := placed[""]; found && v2 != "/" {
			if got != "0::"+v2 {
				t.Errorf("process.linux.cgroup is %q, /proc reports %q", got, v2)
			}
		} else if fields := strings.SplitN(got, ":", 3); len(fields) != 3 || placed[fields[1]] != fields[2] {
			t.Errorf("process.linux.cgroup is %q, /proc reports %q", got, placed)
		}
		if t.Failed() {
			return
		}
	}
}
