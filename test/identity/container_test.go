// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/selection"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// mounts returns where cgroup hierarchies are mounted, v2 first, and one of v1.
func mounts(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var v1, v2 []string
	for line := range strings.Lines(string(b)) {
		before, after, _ := strings.Cut(line, " - ")
		at, kind := strings.Fields(before), strings.Fields(after)
		if len(at) < 5 || len(kind) < 3 || at[3] != "/" {
			continue
		}
		if kind[0] == "cgroup2" {
			v2 = append(v2, at[4])
		}
		// cpuset wants settings before it takes a process.
		if kind[0] == "cgroup" && !slices.Contains(strings.Split(kind[2], ","), "cpuset") {
			v1 = append(v1, at[4])
		}
	}
	if len(v1)+len(v2) == 0 {
		t.Fatalf("no cgroup hierarchy is mounted: these tests need one\n%s", b)
	}
	return append(v2[:min(len(v2), 1)], v1[:min(len(v1), 1)]...)
}

func within(cgroups ...string) *exec.Cmd {
	const script = `for cgroup; do echo $$ >"$cgroup/cgroup.procs"; done; exec "$0" call`
	return exec.Command("/bin/sh", append([]string{"-ec", script, steps}, cgroups...)...)
}

func cgroupLines(t *testing.T, pid int) []string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// Whatever the layout, container.id, the group of a container's metrics and
// select.containers agree, and the cgroup is a line of /proc/PID/cgroup.
func TestContainerIDInEachCgroupLayout(t *testing.T) {
	inner, outer := caller.ContainerID(t), caller.ContainerID(t)
	id := strings.NewReplacer("INNER", inner, "OUTER", outer)
	all := watch(t, probe.GroupByContainer, selection.List{})
	selected := map[string]*watcher{}
	for _, c := range []string{inner, outer, task + "-2495160603"} {
		selected[c] = watch(t, probe.GroupByService, selection.List{Containers: []string{c[:32]}})
	}
	for _, mount := range mounts(t) {
		for _, l := range layouts {
			t.Run(filepath.Base(mount)+l.path, func(t *testing.T) {
				// A name of the test's own keeps it apart from what the host has.
				path, want := "/getsockopt-"+inner[:8]+id.Replace(l.path), id.Replace(l.want)
				p := start(t, within(caller.CgroupAt(t, mount, path)))
				lines := cgroupLines(t, p.pid)
				s := all.look(t, p.pid)
				if s.calls != 1 {
					t.Fatalf("%d calls", s.calls)
				}
				got, _ := attribute(s.spans, "container.id").(string)
				group, _ := attribute(s.metrics, "container.id").(string)
				if got != want || group != want {
					t.Errorf("container.id is %q of spans and %q of metrics, want %q", got, group, want)
				}
				for c, w := range selected {
					if calls := w.look(t, p.pid).calls; calls != int(count(c == want)) {
						t.Errorf("select.containers %.12s lets %d calls through", c, calls)
					}
				}
				line, _ := attribute(s.spans, "process.linux.cgroup").(string)
				if !slices.Contains(lines, line) || !strings.HasSuffix(line, ":"+path) {
					t.Errorf("process.linux.cgroup is %q, /proc has %q", line, lines)
				}
				p.end()
			})
		}
	}
}

// Of several hierarchies v2 comes first, then the one of the lowest number; the
// container is in any of them.
func TestContainerIDAmongSeveralHierarchies(t *testing.T) {
	mounts := mounts(t)
	if len(mounts) < 2 {
		t.Logf("one kind of hierarchy is mounted here: %s", mounts)
		return
	}
	inner, outer := caller.ContainerID(t), caller.ContainerID(t)
	top := "/getsockopt-" + inner[:8]
	w := watch(t, probe.GroupByService, selection.List{})
	for name, test := range map[string]struct{ v2, v1, want string }{
		"v1 and v2": {top + "/system.slice/docker.service", top + "/docker/" + inner, inner},
		"v2 first":  {top + "/docker/" + outer, top + "/docker/" + inner, outer},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, within(caller.CgroupAt(t, mounts[0], test.v2), caller.CgroupAt(t, mounts[1], test.v1)))
			s := w.look(t, p.pid)
			if got := attribute(s.spans, "container.id"); got != test.want {
				t.Errorf("container.id is %q, want %q", got, test.want)
			}
			if got := attribute(s.spans, "process.linux.cgroup"); got != "0::"+test.v2 {
				t.Errorf("process.linux.cgroup is %q, want %q", got, "0::"+test.v2)
			}
		})
	}
}

// At the root of all hierarchies there is a line, too.
func TestProcessInTheRootCgroup(t *testing.T) {
	w := watch(t, probe.GroupByContainer, selection.List{})
	p := start(t, within(mounts(t)...))
	s := w.look(t, p.pid)
	line, _ := attribute(s.spans, "process.linux.cgroup").(string)
	if lines := cgroupLines(t, p.pid); !slices.Contains(lines, line) {
		t.Errorf("process.linux.cgroup is %q, /proc has %q", line, lines)
	}
	if got := attribute(s.metrics, "container.id"); got != nil {
		t.Errorf("container.id is %q", got)
	}
}

// A path that is longer than is kept is absent and counted, and the container
// is found all the same.
func TestLongCgroupPaths(t *testing.T) {
	inner := caller.ContainerID(t)
	long := strings.Repeat("/"+strings.Repeat("n", 250), 15)
	all := watch(t, probe.GroupByContainer, selection.List{})
	selected := watch(t, probe.GroupByService, selection.List{Containers: []string{inner}})
	for i, path := range []string{"/docker/" + inner + long, long + "/docker/" + inner} {
		for variables, cut := range []uint64{uint64(i), uint64(i) + 1} {
			c := within(caller.CgroupAt(t, mounts(t)[0], "/getsockopt-"+inner[:8]+path))
			c.Env = []string{"OTEL_RESOURCE_ATTRIBUTES=a=" + strings.Repeat("b", 4000*variables), "OTEL_SERVICE_NAME=" + strings.Repeat("b", 4000*variables)}
			p := start(t, c)
			s := all.look(t, p.pid)
			line, _ := attribute(s.spans, "process.linux.cgroup").(string)
			if lines := cgroupLines(t, p.pid); variables == 0 && !slices.Contains(lines, line) || variables > 0 && line != "" {
				t.Errorf("process.linux.cgroup is %q", line)
			}
			if got := s.counted.CgroupCut; got != cut {
				t.Errorf("%d cgroups counted as cut, want %d", got, cut)
			}
			if got := attribute(s.spans, "process.executable.name"); got != "steps" {
				t.Errorf("process.executable.name is %q, want steps", got)
			}
			spans, metrics := attribute(s.spans, "container.id"), attribute(s.metrics, "container.id")
			if spans != inner || metrics != inner {
				t.Errorf("container.id is %q of spans and %q of metrics, want %q", spans, metrics, inner)
			}
			if calls := selected.look(t, p.pid).calls; calls != 1 {
				t.Errorf("select.containers lets %d calls through", calls)
			}
			p.end()
		}
	}
}
