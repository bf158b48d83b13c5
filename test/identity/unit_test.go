// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/selection"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// systemdMounts returns where systemd has its hierarchy: v2, and the one of its own on v1.
func systemdMounts(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	all := mounts(t)
	for line := range strings.Lines(string(b)) {
		if before, after, _ := strings.Cut(line, " - "); strings.Contains(after, "name=systemd") {
			all = append(all[:min(len(all), 1)], strings.Fields(before)[4])
		}
	}
	return all
}

// identified starts the known program in cgroups, and checks that it is there.
func identified(t *testing.T, environment []string, cgroups ...string) *program {
	t.Helper()
	c := within(cgroups...)
	c.Env = environment
	p := start(t, c)
	lines := cgroupLines(t, p.pid)
	for _, c := range cgroups {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasSuffix(c, strings.SplitN(line, ":", 3)[2]) }) {
			t.Fatalf("the program is not in %s: %q", c, lines)
		}
	}
	return p
}

// of returns an attribute of a resource as text.
func (s seen) of(key string) (spans, metrics string) {
	spans, _ = attribute(s.spans, key).(string)
	metrics, _ = attribute(s.metrics, key).(string)
	return spans, metrics
}

func (s seen) expect(t *testing.T, key, want string) {
	t.Helper()
	if spans, metrics := s.of(key); spans != want || metrics != want {
		t.Errorf("%s is %q of spans and %q of metrics, want %q", key, spans, metrics, want)
	}
}

// Whatever the layout, systemd.unit.name, service.name, the groups of metrics and
// select.systemd_units agree. A process's own name comes first.
func TestUnitInEachCgroupLayout(t *testing.T) {
	patterns := []string{"shop-*", "worker@*.service", `backup\\x2ddb.service`, "n[o-p]tes.service", "*.service.d"}
	both := watch(t, probe.GroupByService|probe.GroupBySystemdUnit, selection.List{})
	selected := watch(t, probe.GroupByService, selection.List{SystemdUnits: patterns})
	star := watch(t, probe.GroupBySystemdUnit, selection.List{SystemdUnits: []string{"*"}})
	inner, outer := caller.ContainerID(t), caller.ContainerID(t)
	id := strings.NewReplacer("INNER", inner, "OUTER", outer)
	for _, mount := range systemdMounts(t) {
		for _, l := range unitLayouts {
			t.Run(filepath.Base(mount)+l.path, func(t *testing.T) {
				at := caller.CgroupAt(t, mount, "/getsockopt-"+inner[:8]+id.Replace(l.path))
				p := identified(t, nil, at)
				s := both.look(t, p.pid)
				s.expect(t, "systemd.unit.name", l.unit)
				service := l.service
				if service == "" {
					service = "steps"
				}
				s.expect(t, "service.name", service)
				matches := func(pattern string) bool {
					matched, err := path.Match(pattern, l.unit)
					return err == nil && matched && l.unit != ""
				}
				if calls := selected.look(t, p.pid).calls; calls != int(count(slices.ContainsFunc(patterns, matches))) {
					t.Errorf("select.systemd_units %q lets %d calls through", patterns, calls)
				}
				if calls := star.look(t, p.pid).calls; calls != int(count(l.unit != "")) {
					t.Errorf("select.systemd_units * lets %d calls through", calls)
				}
				p.end()
				p = identified(t, []string{"OTEL_SERVICE_NAME=own"}, at)
				s = both.look(t, p.pid)
				s.expect(t, "systemd.unit.name", l.unit)
				s.expect(t, "service.name", "own")
				p.end()
			})
		}
	}
}

// Units and containers are in different hierarchies of v1: systemd knows units in its own,
// and controllers may have none, those above, or others.
func TestUnitAmongSeveralHierarchies(t *testing.T) {
	inner, outer := caller.ContainerID(t), caller.ContainerID(t)
	w := watch(t, probe.GroupByService|probe.GroupByContainer|probe.GroupBySystemdUnit, selection.List{})
	controller, systemd := mounts(t), systemdMounts(t)
	if len(controller) < 2 || len(systemd) < 2 || controller[1] == systemd[1] {
		t.Logf("these are not v2, systemd's v1 and a controller: %s, %s", controller, systemd)
		return
	}
	id := strings.NewReplacer("INNER", inner, "OUTER", outer)
	const login = "/user.slice/user-1000.slice/session-3.scope"
	for name, test := range map[string]struct{ v2, controller, systemd, unit, container string }{
		"container by a controller":    {"", "/docker/INNER", "/docker/INNER/system.slice/nginx.service", "nginx.service", inner},
		"container by v2":              {"/docker/INNER", "", "/docker/INNER/system.slice/nginx.service", "nginx.service", inner},
		"another container":            {"/docker/INNER", "", "/docker/OUTER/system.slice/nginx.service", "", inner},
		"unit above, container below":  {"/docker/INNER", "/docker/INNER", "/system.slice/docker.service", "", inner},
		"login, unit by a controller":  {"", "/system.slice/cron.service", login, "", ""},
		"login by v2":                  {login, "/system.slice/cron.service", login, "", ""},
		"two units":                    {"", "/system.slice/limits.service", "/system.slice/web.service", "web.service", ""},
		"parents in controllers":       {"", "/user.slice", manager + "/app.slice/notes.service", "notes.service", ""},
		"v2 has less":                  {manager, "", manager + "/app.slice/notes.service", "notes.service", ""},
		"split, others in the machine": {"", "/machine.slice", "/system.slice/web.service/libpod-payload-INNER", "web.service", inner},
		"no hierarchy of systemd":      {"", "/system.slice/web.service", "", "web.service", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var at []string
			for mount, path := range map[string]string{systemd[0]: test.v2, controller[1]: test.controller, systemd[1]: test.systemd} {
				if path != "" {
					at = append(at, caller.CgroupAt(t, mount, "/getsockopt-"+inner[:8]+id.Replace(path)))
				}
			}
			s := w.look(t, identified(t, nil, at...).pid)
			s.expect(t, "systemd.unit.name", test.unit)
			s.expect(t, "container.id", test.container)
		})
	}
}

// The first call is no span, and then the process moves: its spans have what its metrics
// have, and what it was selected by.
func TestProcessThatMovesBeforeItsFirstSpan(t *testing.T) {
	const all = probe.GroupByService | probe.GroupByContainer | probe.GroupBySystemdUnit
	id := caller.ContainerID(t)
	w := watchSampled(t, all, selection.List{}, 0, record.FallbackSystemdUnit, record.FallbackExecutable)
	selected := watchSampled(t, all, selection.List{SystemdUnits: []string{"web.service"}}, 0, record.FallbackSystemdUnit)
	places := map[string]struct{ path, unit, service, container string }{
		"unit":      {"/system.slice/web.service", "web.service", "web", ""},
		"login":     {"/user.slice/user-1000.slice/session-3.scope", "", "steps", ""},
		"container": {"/docker/" + id, "", "steps", id},
	}
	for _, mount := range systemdMounts(t) {
		for from, first := range places {
			for to, later := range places {
				t.Run(filepath.Base(mount)+" "+from+" to "+to, func(t *testing.T) {
					top := "/getsockopt-" + id[:8]
					const script = `echo 0 >"$1/cgroup.procs"; exec "$0" succeed enter "$2/cgroup.procs" fail call`
					p := start(t, exec.Command("/bin/sh", "-ec", script, steps, caller.CgroupAt(t, mount, top+first.path), caller.CgroupAt(t, mount, top+"/later"+later.path)))
					s := w.look(t, p.pid)
					s.expect(t, "systemd.unit.name", first.unit)
					s.expect(t, "service.name", first.service)
					s.expect(t, "container.id", first.container)
					if s.calls != 1 {
						t.Errorf("%d spans, want that of the failed call", s.calls)
					}
					if calls := selected.look(t, p.pid).calls; calls != int(count(first.unit != "")) {
						t.Errorf("select.systemd_units lets %d failed calls through", calls)
					}
					p.end()
				})
			}
		}
	}
}

// The rules in any order, against the reference above.
func TestRandomCgroupPaths(t *testing.T) {
	const paths, seed = 150, 13
	random := rand.New(rand.NewPCG(seed, seed))
	inner := caller.ContainerID(t)
	parts := []string{
		"system.slice", "a.service", "b@1.service", "_c.service", "d.scope", "run-e.service", "user@1000.service", "user-1000.slice", "f@.service",
		"machine-g.scope", "init", `h\x2di@j\x2dk.service`, "docker-" + inner + ".scope", "libpod-" + inner + ".scope", "libpod-payload-" + inner,
		"cri-containerd-" + inner + ".scope", "kubepods", "pod5d1cf5f2-3a83-4a4c-8e9b-06b0a7a5f6d2", "pod74c1322300005a0011e9b38542010a80",
		"kubelet-kubepods-burstable-pod5d1cf5f2_3a83_4a4c_8e9b_06b0a7a5f6d2.slice", "kubepods-pod74c1322300005a0011e9b38542010a80.slice", "systemd-nspawn@l.service",
	}
	w := watch(t, probe.GroupByService|probe.GroupByContainer|probe.GroupBySystemdUnit, selection.List{})
	for range paths {
		path := "/getsockopt-" + inner[:8]
		for range 1 + random.IntN(5) {
			path += "/" + parts[random.IntN(len(parts))]
		}
		t.Run(path, func(t *testing.T) {
			p := identified(t, nil, caller.CgroupAt(t, mounts(t)[0], path))
			s := w.look(t, p.pid)
			unit, service, pod := reference(path)
			s.expect(t, "systemd.unit.name", unit)
			s.expect(t, "k8s.pod.uid", pod)
			if service == "" {
				service = "steps"
			}
			s.expect(t, "service.name", service)
			p.end()
		})
	}
}

// The fallbacks apply in their order, and to nothing else.
func TestServiceNameFallbacks(t *testing.T) {
	const unit, executable = record.FallbackSystemdUnit, record.FallbackExecutable
	top := "/getsockopt-" + caller.ContainerID(t)[:8] + "/system.slice/"
	for name, test := range map[string]struct {
		fallbacks       []record.NameFallback
		inUnit, outside string
	}{
		"unit, executable": {[]record.NameFallback{unit, executable}, "shop-api", "steps"},
		"executable, unit": {[]record.NameFallback{executable, unit}, "steps", "steps"},
		"unit":             {[]record.NameFallback{unit}, "shop-api", ""},
		"executable":       {[]record.NameFallback{executable}, "steps", "steps"},
		"none":             {nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := watchNamed(t, probe.GroupByService, selection.List{}, test.fallbacks...)
			for at, want := range map[string]string{"shop-api.service": test.inUnit, "session-1.scope": test.outside} {
				cgroup := caller.CgroupAt(t, mounts(t)[0], top+at)
				for variable, own := range map[string]string{"": "", "OTEL_SERVICE_NAME=own": "own", "OTEL_RESOURCE_ATTRIBUTES=service.name=o%77n": "own", "OTEL_RESOURCE_ATTRIBUTES=service.name= \t": ""} {
					p := identified(t, append(services(3000), variable), cgroup)
					if own == "" {
						own = want
					}
					w.look(t, p.pid).expect(t, "service.name", own)
					p.end()
				}
			}
		})
	}
}

// Each layout of a pod's cgroups, on spans and on metrics with container.
func TestPodInEachCgroupLayout(t *testing.T) {
	const uid, hash = "5d1cf5f2-3a83-4a4c-8e9b-06b0a7a5f6d2", "74c1322300005a0011e9b38542010a80"
	inner, outer := caller.ContainerID(t), caller.ContainerID(t)
	id := strings.NewReplacer("INNER", inner, "OUTER", outer, "UID", uid, "U_D", strings.ReplaceAll(uid, "-", "_"), "HASH", hash)
	w := watch(t, probe.GroupByService|probe.GroupByContainer, selection.List{})
	alone := watch(t, probe.GroupByContainer, selection.List{})
	const kind = "/kubelet.slice/kubelet-kubepods.slice"
	for _, mount := range mounts(t) {
		for path, want := range map[string]string{
			"/kubepods/podUID/INNER":                                           uid,
			"/kubepods/burstable/podUID/INNER":                                 uid,
			"/kubepods/besteffort/podUID/INNER":                                uid,
			"/kubepods/podHASH/INNER":                                          hash,
			"/kubepods/burstable/podUID/INNER/system.slice/nginx.service":      uid,
			"/kubepods/burstable/podUID/crio-INNER":                            uid,
			"/kubepods.slice/kubepods-podU_D.slice/cri-containerd-INNER.scope": uid,
			"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_D.slice/cri-containerd-INNER.scope":                             uid,
			"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_D.slice/crio-INNER.scope/container":                           uid,
			"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podHASH.slice/docker-INNER.scope":                                    hash,
			"/docker/OUTER" + kind + "/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-podU_D.slice/cri-containerd-INNER.scope": uid,
			"/docker/OUTER/kubelet/kubepods/besteffort/podUID/INNER":                                                                          uid,
			"/system.slice/containerd.service/kubepods-besteffort-podU_D.slice:cri-containerd:INNER":                                          uid,
			"/kubepods/burstable/podUID/OUTER/docker/INNER":                                                                                   uid,
			"/kubepods/burstable/podUID":                                    "", // no container of the pod
			"/kubepods.slice/kubepods-podU_D.slice/crio-conmon-INNER.scope": "",
			"/docker/INNER":                 "",
			"/docker/INNER/kubepods/podUID": "", // in the container, and no container
			"/machine.slice/machine-libpod_pod_OUTER.slice/libpod-INNER.scope":   "",
			"/kubepods/podnothex-3a83-4a4c-8e9b-06b0a7a5f6d2/docker-INNER.scope": "",
			"/kubepods/tripodUID/docker-INNER.scope":                             "",
		} {
			t.Run(filepath.Base(mount)+path, func(t *testing.T) {
				p := identified(t, nil, caller.CgroupAt(t, mount, "/getsockopt-"+inner[:8]+id.Replace(path)))
				for _, s := range []seen{w.look(t, p.pid), alone.look(t, p.pid)} {
					s.expect(t, "k8s.pod.uid", want)
					container, instance := attribute(s.metrics, "container.id"), attribute(s.metrics, "service.instance.id")
					if container != instance {
						t.Errorf("service.instance.id is %q, want %q", instance, container)
					}
				}
				p.end()
			})
		}
	}
}

// Two containers of one service are two resources, each with an instance. The process's
// own instance comes first.
func TestInstancesOfOneService(t *testing.T) {
	w := watch(t, probe.GroupByService|probe.GroupByContainer, selection.List{})
	ids := []string{caller.ContainerID(t), caller.ContainerID(t)}
	resources := map[string]bool{}
	for _, id := range ids {
		at := caller.CgroupAt(t, mounts(t)[0], "/getsockopt-"+ids[0][:8]+"/docker/"+id)
		for variable, want := range map[string]string{
			"": id, "OTEL_RESOURCE_ATTRIBUTES=service.instance.id=": id,
			"OTEL_RESOURCE_ATTRIBUTES=a=b, service.instance.id=pod%2D7,c=d":      "pod-7",
			"OTEL_RESOURCE_ATTRIBUTES=service.instance.id=" + repeated(127, "i"): repeated(127, "i"),
			"OTEL_RESOURCE_ATTRIBUTES=service.instance.id=" + repeated(200, "i"): repeated(127, "i"),
		} {
			for _, before := range []int{0, 3000} {
				p := identified(t, append(services(before), "OTEL_SERVICE_NAME=shop", variable), at)
				s := w.look(t, p.pid)
				s.expect(t, "service.name", "shop")
				s.expect(t, "container.id", id)
				if got := attribute(s.metrics, "service.instance.id"); got != want {
					t.Errorf("with %d variables before %q: service.instance.id is %q, want %q", before, variable, got, want)
				}
				if got := attribute(s.spans, "service.instance.id"); want != id && got != want || want == id && got != nil {
					t.Errorf("with %q: service.instance.id of spans is %q", variable, got)
				}
				resources[s.metrics.ID()] = true
				p.end()
			}
		}
	}
	service := watch(t, probe.GroupByService, selection.List{})
	p := identified(t, []string{"OTEL_SERVICE_NAME=shop", "OTEL_RESOURCE_ATTRIBUTES=service.instance.id=7"}, caller.CgroupAt(t, mounts(t)[0], "/getsockopt-"+ids[0][:8]+"/init"))
	if got := attribute(service.look(t, p.pid).metrics, "service.instance.id"); got != nil {
		t.Errorf("service.instance.id is %q of a service without its containers", got)
	}
	p.end()
	if len(resources) != 2*3 {
		t.Errorf("%d resources, want 3 for each container", len(resources))
	}
	p = identified(t, []string{"OTEL_RESOURCE_ATTRIBUTES=service.instance.id=7"}, caller.CgroupAt(t, mounts(t)[0], "/getsockopt-"+ids[0][:8]+"/init"))
	w.look(t, p.pid).expect(t, "service.instance.id", "7")
}

// A program that makes its call and is gone has all of it right.
func TestShortLivedProgramInAContainer(t *testing.T) {
	w := watch(t, probe.GroupByService|probe.GroupByContainer|probe.GroupBySystemdUnit, selection.List{})
	id := caller.ContainerID(t)
	at := caller.CgroupAt(t, mounts(t)[0], "/getsockopt-"+id[:8]+pod+"/"+id+"/system.slice/web@1.service")
	c := exec.Command("/bin/sh", "-ec", fmt.Sprintf(`echo $$ >%s/cgroup.procs; exec "$0" call </dev/null`, at), steps)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := w.look(t, c.Process.Pid)
	for key, want := range map[string]string{
		"service.name": "web", "systemd.unit.name": "web@1.service", "container.id": id, "k8s.pod.uid": "5d1cf5f2-3a83-4a4c-8e9b-06b0a7a5f6d2",
	} {
		s.expect(t, key, want)
	}
}
