// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

const (
	idA = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
	idB = "34dc0b5e626f2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea03376"
)

func TestContainerID(t *testing.T) {
	for path, want := range map[string]string{
		// Docker, cgroupfs and systemd drivers.
		"/docker/" + idA:                                   idA,
		"/system.slice/docker-" + idA + ".scope":           idA,
		"/docker/" + idA + "/system.slice/nginx.service":   idA,
		"/docker/" + idA + "/docker/" + idB:                idB,
		"/system.slice/docker-" + idA + ".scope/init":      idA,
		"/actions_job/" + idA:                              idA, // docker --cgroup-parent, as GitHub's runners use it
		"/ecs/0a1b2c3d-0000-1111-2222-333344445555/" + idA: idA,
		"/ecstasks.slice/ecstasks-0123456789abcdef0123456789abcdef.slice/docker-" + idA + ".scope": idA,
		"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + idA + ".scope":        idA, // rootless
		// containerd: ctr and nerdctl, Kubernetes with both drivers, the forms of a driver mix-up.
		"/k8s.io/" + idA:                          idA,
		"/default/" + idA:                         idA,
		"/system.slice/nerdctl-" + idA + ".scope": idA,
		"/kubepods/burstable/pod5d1cf5f2-3a83-4a4c-8e9b-06b0a7a5f6d2/" + idA:                                                                         idA,
		"/kubepods/besteffort/pod74c13223-5a00-11e9-b385-42010a80018d/" + idA:                                                                        idA,
		"/kubepods/podd6f7a3b2-0f2b-4f5e-9c42-8f8f3f7b6a11/" + idA + "/init.scope":                                                                   idA,
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod5d1cf5f2_3a83_4a4c_8e9b_06b0a7a5f6d2.slice/cri-containerd-" + idA + ".scope": idA,
		"/kubepods.slice/kubepods-podd6f7a3b2_0f2b_4f5e_9c42_8f8f3f7b6a11.slice/docker-" + idA + ".scope":                                            idA,
		"/system.slice/containerd.service/kubepods-burstable-pod5d1cf5f2_3a83_4a4c_8e9b_06b0a7a5f6d2.slice:cri-containerd:" + idA:                    idA,
		"/kubepods-besteffort-podb5f9bc2e_8cc8_4ad4_b1f3_93a1c0f3f6ac.slice:cri-containerd:" + idA:                                                   idA,
		"/docker/" + idB + "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/cri-containerd-" + idA + ".scope":                idA, // kind
		// CRI-O.
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod5d1cf5f2_3a83_4a4c_8e9b_06b0a7a5f6d2.slice/crio-" + idA + ".scope": idA,
		"/kubepods.slice/kubepods-pod5d1cf5f2_3a83_4a4c_8e9b_06b0a7a5f6d2.slice/crio-" + idA + ".scope/container":                          idA,
		"/kubepods/burstable/pod5d1cf5f2-3a83-4a4c-8e9b-06b0a7a5f6d2/crio-" + idA:                                                          idA,
		// podman.
		"/machine.slice/libpod-" + idA + ".scope":                                                     idA,
		"/machine.slice/libpod-" + idA + ".scope/container":                                           idA,
		"/machine.slice/libpod-" + idA + ".scope/container/system.slice/sshd.service":                 idA,
		"/libpod_parent/libpod-" + idA:                                                                idA,
		"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + idA + ".scope/container": idA,
		"/system.slice/web.service/libpod-payload-" + idA:                                             idA, // --cgroups=split
		// ECS on Fargate.
		"/ecs/cd189a933e5849daa93386466019ab50/cd189a933e5849daa93386466019ab50-2495160603": "cd189a933e5849daa93386466019ab50-2495160603",

		"/":                          "",
		"":                           "",
		"/system.slice/sshd.service": "",
		"/user.slice/user-1000.slice/session-3.scope": "",
		"/init.scope":                                                       "",
		"/system.slice/docker.service":                                      "",
		"/system.slice/containerd.service":                                  "",
		"/machine.slice/libpod-conmon-" + idA + ".scope":                    "", // the monitor runs outside
		"/kubepods.slice/kubepods-pod1.slice/crio-conmon-" + idA + ".scope": "",
		"/system.slice/docker-" + idA[:63] + ".scope":                       "",
		"/system.slice/docker-" + idA + "0.scope":                           "",
		"/system.slice/docker-" + strings.ToUpper(idA) + ".scope":           "",
		"/system.slice/mydocker-" + idA + ".scope":                          "",
		"/jobs/cd189a933e5849daa93386466019ab50":                            "", // 32 digits: an MD5, a machine id
		"/jobs/cd189a933e5849daa93386466019ab50-2495160603":                 "", // as on Fargate, but not there
		"/ecs/cd189a933e5849daa93386466019ab50":                             "", // the task
		"/ecs/cd189a933e5849daa93386466019ab50-24x":                         "",
		"/ecs/cd189a933e5849daa93386466019ab50-":                            "",
		"/user.slice/user-1000.slice/user@1000.service/app.slice/build/5f1d9a8b7c6e5d4f3a2b1c0d9e8f7a6b5c4d3e2f":    "", // a git commit
		"/user.slice/user-1000.slice/user@1000.service/app.slice/build/" + idA:                                      "", // a SHA-256 one
		"/kubepods/burstable/pod5d1cf5f2-3a83-4a4c-8e9b-06b0a7a5f6d2":                                               "", // the pod
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod5d1cf5f2_3a83_4a4c_8e9b_06b0a7a5f6d2.slice": "",
		"/lxc.payload.web":                             "",
		"/slice:other:" + idA:                          "",
		":docker:" + idA:                               idA,
		"docker:" + idA:                                "",
		"/system.slice/docker--" + idA:                 "",
		"/garden/5d1cf5f2-3a83-4a4c-8e9b-06b0a7a5f6d2": "",
	} {
		for _, v2 := range []bool{true, false} {
			if got := ContainerID([]record.Cgroup{{V2: v2, Path: path}}); got != want {
				t.Errorf("%s (v2 %t): got %q, want %q", path, v2, got, want)
			}
		}
	}
}

func TestContainerIDOfSeveralHierarchies(t *testing.T) {
	hybrid := []record.Cgroup{
		{Path: "/docker/" + idA},
		{Path: "/docker/" + idA},
		{V2: true, Path: "/system.slice/docker.service"},
	}
	if got := ContainerID(hybrid); got != idA {
		t.Errorf("v1 with v2 beside it: %q", got)
	}
	if got := cgroupPath(hybrid); got != "/system.slice/docker.service" {
		t.Errorf("path %q", got)
	}
	if got := cgroupPath(hybrid[:2]); got != "/docker/"+idA {
		t.Errorf("v1 path %q", got)
	}
	both := []record.Cgroup{{Path: "/docker/" + idA}, {V2: true, Path: "/docker/" + idB}}
	if got := ContainerID(both); got != idB {
		t.Errorf("v2 first: %q", got)
	}
	if ContainerID(nil) != "" || cgroupPath(nil) != "" {
		t.Error("a process at the root is in no container")
	}
}

func FuzzCgroup(f *testing.F) {
	f.Add("/docker/" + idA)
	f.Add("/system.slice/docker-" + idA + ".scope")
	f.Add("/ecs/cd189a933e5849daa93386466019ab50/cd189a933e5849daa93386466019ab50-2495160603")
	f.Add("/a:cri-containerd:" + idA)
	f.Add("\xff/:::-.scope")
	f.Fuzz(func(t *testing.T, path string) {
		id := containerIn(path)
		if id == "" {
			return
		}
		if !isID(id) && !isFargateID(id) {
			t.Errorf("%q is no id", id)
		}
		if !strings.Contains(path, id) {
			t.Errorf("%q is not in %q", id, path)
		}
	})
}
