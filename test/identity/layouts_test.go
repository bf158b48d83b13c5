// SPDX-License-Identifier: Apache-2.0

package identity

// layout is a cgroup as a container engine, or somebody else, makes it. INNER
// and OUTER stand for ids of 64 hexadecimal digits.
type layout struct{ path, want string }

const (
	user = "/user.slice/user-1000.slice/user@1000.service"
	pod  = "/kubepods/burstable/pod5d1cf5f2-3a83-4a4c-8e9b-06b0a7a5f6d2"
	// A pod's slice, of the systemd driver.
	slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod5d1cf5f2_3a83_4a4c_8e9b_06b0a7a5f6d2.slice"
	task  = "cd189a933e5849daa93386466019ab50"
)

var layouts = []layout{
	// Docker, cgroupfs and systemd drivers.
	{"/docker/INNER", "INNER"},
	{"/system.slice/docker-INNER.scope", "INNER"},
	{"/docker/INNER/system.slice/nginx.service", "INNER"},
	{"/system.slice/docker-INNER.scope/init", "INNER"},
	{"/actions_job/INNER", "INNER"}, // --cgroup-parent, as GitHub's runners use it
	{"/ecs/0a1b2c3d-0000-1111-2222-333344445555/INNER", "INNER"},
	{"/ecstasks.slice/ecstasks-0123456789abcdef0123456789abcdef.slice/docker-INNER.scope", "INNER"},
	{"/nomad.slice/share.slice/docker-INNER.scope", "INNER"},
	// containerd: ctr and nerdctl, Kubernetes with both drivers, and a mix-up of them.
	{"/k8s.io/INNER", "INNER"},
	{"/default/INNER", "INNER"},
	{"/system.slice/nerdctl-INNER.scope", "INNER"},
	{pod + "/INNER", "INNER"},
	{"/kubepods/besteffort/pod74c1322300005a0011e9b38542010a80/INNER", "INNER"}, // a static pod
	{pod + "/INNER/init.scope", "INNER"},
	{slice + "/cri-containerd-INNER.scope", "INNER"},
	{slice + "/docker-INNER.scope", "INNER"},
	{"/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:INNER", "INNER"},
	{"/kubepods-besteffort-podb5f9bc2e_8cc8_4ad4_b1f3_93a1c0f3f6ac.slice:cri-containerd:INNER", "INNER"},
	// CRI-O.
	{slice + "/crio-INNER.scope", "INNER"},
	{slice + "/crio-INNER.scope/container", "INNER"},
	{pod + "/crio-INNER", "INNER"},
	// podman.
	{"/machine.slice/libpod-INNER.scope", "INNER"},
	{"/machine.slice/libpod-INNER.scope/container", "INNER"},
	{"/machine.slice/libpod-INNER.scope/container/system.slice/sshd.service", "INNER"},
	{"/machine.slice/machine-libpod_pod_OUTER.slice/libpod-INNER.scope", "INNER"},
	{"/libpod_parent/libpod-INNER", "INNER"},
	{"/libpod_parent/libpod-INNER/ctr", "INNER"},
	{"/libpod_parent/OUTER/libpod-INNER", "INNER"},
	{"/system.slice/web.service/libpod-payload-INNER", "INNER"}, // --cgroups=split
	// Amazon ECS on Fargate.
	{"/ecs/" + task + "/" + task + "-2495160603", task + "-2495160603"},
	{"/ecs/cluster/" + task + "/" + task + "-2495160603/init", task + "-2495160603"},

	// Without root.
	{user + "/user.slice/docker-INNER.scope", "INNER"},
	{user + "/user.slice/libpod-INNER.scope/container", "INNER"},
	{user + "/user.slice/nerdctl-INNER.scope", "INNER"},
	{user + "/user.slice/user-libpod_pod_OUTER.slice/libpod-INNER.scope", "INNER"},
	{user + "/app.slice/web.service/libpod-payload-INNER", "INNER"},
	{user + "/u7s-rootlesskit.service" + pod + "/INNER", "INNER"},
	{user + "/app.slice/k3s-rootless.service" + pod + "/INNER", "INNER"},
	{user + "/app.slice/docker.service/docker/INNER", "INNER"},
	{user + "/app.slice/containerd.service/k8s.io/INNER", "INNER"},
	{user + "/app.slice/containerd.service/default/INNER/sub/sub", "INNER"},

	// Containers in containers.
	{"/docker/OUTER/docker/INNER", "INNER"},
	{"/docker/OUTER/anything/INNER", "INNER"},
	{"/docker/OUTER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/cri-containerd-INNER.scope", "INNER"}, // kind
	{"/docker/OUTER/kubelet/kubepods/besteffort/pod74c13223-5a00-11e9-b385-42010a80018d/INNER", "INNER"},
	{user + "/user.slice/docker-OUTER.scope/docker/INNER", "INNER"},
	{user + "/user.slice/docker-OUTER.scope/anything/INNER", "INNER"},
	{user + "/user.slice/libpod-OUTER.scope/container" + pod + "/INNER", "INNER"},
	{slice + "/crio-OUTER.scope/machine.slice/libpod-INNER.scope/container", "INNER"},
	{"/docker/OUTER/user.slice/user-0.slice/session-1.scope", "OUTER"},
	{"/docker/OUTER" + user + "/app.slice/build/INNER", "OUTER"}, // a SHA-256 in a container
	{"/docker/OUTER/machine.slice/libpod-conmon-INNER.scope", "OUTER"},
	{"/docker/OUTER/libpod_parent/INNER/conmon", "OUTER"},
	{"/docker/OUTER/libpod_parent/conmon", "OUTER"},
	{user + "/user.slice/docker-OUTER.scope/libpod_parent/libpod-INNER/conmon", "OUTER"},

	// Monitors run outside of their containers.
	{"/machine.slice/libpod-conmon-INNER.scope", ""},
	{"/machine.slice/machine-libpod_pod_OUTER.slice/libpod-conmon-INNER.scope", ""},
	{"/system.slice/crio-conmon-INNER.scope", ""},
	{slice + "/crio-conmon-INNER.scope", ""},
	{slice + "/crio-conmonrs-INNER.scope", ""},
	{pod + "/crio-conmon-INNER", ""},
	{"/libpod_parent/conmon", ""},
	{"/libpod_parent/INNER/conmon", ""}, // the pod's
	{"/libpod_parent/INNER", ""},
	{"/other_parent/INNER/conmon", ""},
	{"/libpod_parent/libpod-INNER/conmon", ""},
	{"/libpod_parent/OUTER/libpod-INNER/conmon", ""},
	{user + "/user.slice/libpod-conmon-INNER.scope", ""},
	{user + "/user.slice/user-libpod_pod_OUTER.slice/libpod-conmon-INNER.scope", ""},
	{user + "/libpod_parent/INNER/conmon", ""},
	{"/system.slice/web.service/supervisor", ""},

	// No containers.
	{"/system.slice/sshd.service", ""},
	{"/system.slice/mydocker-INNER.scope", ""},
	{"/system.slice/docker-INNER0.scope", ""},
	{"/system.slice/docker--INNER.scope", ""},
	{"/system.slice/INNER.scope", ""},
	{"/system.slice/docker:INNER", ""},
	{"/slice:other:INNER", ""},
	{"/slice:mydocker:INNER", ""},
	{"/jobs/" + task, ""},                 // 32 digits: an MD5, a machine id
	{"/jobs/" + task + "-2495160603", ""}, // as on Fargate, but not there
	{"/ecs/" + task, ""},                  // the task
	{"/ecs/" + task + "-24x", ""},
	{"/ecs/" + task + "-", ""},
	{user + "/app.slice/build/5f1d9a8b7c6e5d4f3a2b1c0d9e8f7a6b5c4d3e2f", ""}, // a git commit
	{user + "/app.slice/build/INNER", ""},                                    // a SHA-256
	{user + "/app.slice/podman-kube@home.service/INNER", ""},
	{pod, ""},
	{slice, ""},
	{"/lxc.payload.web", ""},
	{"/garden/5d1cf5f2-3a83-4a4c-8e9b-06b0a7a5f6d2", ""},
}
