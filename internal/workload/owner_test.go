// SPDX-License-Identifier: Apache-2.0

package workload

import "testing"

func TestOwnerOfCgroup(t *testing.T) {
	const (
		one = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
		two = "5f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
	)
	for list, want := range map[string]Owner{
		"0::/system.slice/a.service\n":                                              "/system.slice/a.service",
		"0::/system.slice/a.service/b.service/c\n":                                  "/system.slice/a.service",
		"0::/user.slice/user-1000.slice/session-1.scope\n":                          "/user.slice/user-1000.slice",
		"0::/user.slice/user-1000.slice/user@1000.service/docker/" + one + "\n":     "/user.slice/user-1000.slice",
		"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + one + ".scope\n": "/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + one,
		"0::/docker/" + one + "/system.slice/a.service/" + two + "\n":               "/docker/" + one,
		"0::/system.slice/containerd.service/x:cri-containerd:" + one + "\n":        "/system.slice/containerd.service/x:cri-containerd:" + one,
		"12:pids:/docker/" + one + "\n1:name=systemd:/docker/" + one + "\n0::/\n":   "/docker/" + one,
		"4:memory:/a/long/path/of/a/host\n1:name=systemd:/\n0::/a.service\n":        "/a.service",
		"4:memory:/a/long/path/of/a/host\n1:name=systemd:/a.service/b\n0::/jobs\n":  "/a.service",
		"4:memory:/a/long/path/of/a/host\n0::/jobs/1\n":                             "/jobs",
		"4:memory:/a/long/path/of/a/host\n0::/\n":                                   "/a",
		"0::/jobs/1/2\n": "/jobs",
		"0::/\n":         "/",
		"":               "/",
	} {
		if got := parseOwner(list); got != want {
			t.Errorf("%q has the owner %q, want %q", list, got, want)
		}
	}
}
