// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// The owner of a process is its container, unit or user. What it makes below is no other.
func TestOwners(t *testing.T) {
	const (
		one     = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
		two     = "5f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
		top     = "getsockopt-owner"
		user    = top + "/user.slice/user-1000.slice"
		manager = user + "/user@1000.service"
		pods    = top + "/kubepods/burstable/pod5d1cf5f2-3a83-4a4c-8e9b-06b0a7a5f6d2/"
		engine  = top + "/system.slice/containerd.service/"
	)
	p := open(t, Options{Hook: HookAuto})
	p.stopControlLoop() // which forgets processes that have ended
	for _, delegated := range []string{manager, top + "/system.slice/d.service"} {
		if err := os.Chown(caller.Cgroup(t, delegated), 1000, 1000); err != nil {
			t.Fatal(err)
		}
	}
	owner := func(t *testing.T, path string) uint64 {
		t.Helper()
		c := caller.Command(t, "loop:1")
		caller.Enter(t, c, caller.Cgroup(t, path))
		caller.Run(t, c)
		var entry bpf.GetsockoptProcessEntry
		if err := p.collection.Maps[bpf.GetsockoptMapProcesses].Lookup(uint32(c.Process.Pid), &entry); err != nil {
			t.Fatalf("process %d: %v", c.Process.Pid, err)
		}
		return entry.Owner
	}
	owners := map[uint64]string{}
	for name, paths := range map[string][]string{
		"unit":              {top + "/system.slice/a.service", top + "/system.slice/a.service/x/y", top + "/system.slice/a.service/b.service/docker-" + one + ".scope.d"},
		"other unit":        {top + "/system.slice/b.service", top + "/system.slice/b.service/user.slice/c.scope"},
		"template":          {top + "/system.slice/c@1.service"},
		"other instance":    {top + "/system.slice/c@2.service"},
		"delegated unit":    {top + "/system.slice/d.service", top + "/system.slice/d.service/docker/" + one, top + "/system.slice/d.service/docker/" + two},
		"container":         {pods + one, pods + one + "/init", pods + one + "/docker/" + two, pods + one + "/system.slice/a.service"},
		"other container":   {pods + two},
		"engine's":          {engine + "x:cri-containerd:" + one},
		"other of engine's": {engine + "x:cri-containerd:" + two, engine + "x:cri-containerd:" + two + "/a.service"},
		"user": {
			user + "/session-1.scope", user + "/session-2.scope", manager + "/app.slice/a.service", manager + "/app.slice/b.service/sub",
			manager + "/user.slice/docker-" + one + ".scope", manager + "/docker/" + two,
		},
		"other user": {top + "/user.slice/user-1001.slice/session-3.scope"},
	} {
		t.Run(name, func(t *testing.T) {
			own := owner(t, paths[0])
			if other, found := owners[own]; found || own == 0 {
				t.Errorf("%s has the owner of %s", paths[0], other)
			}
			owners[own] = name
			for _, path := range paths[1:] {
				if got := owner(t, path); got != own {
					t.Errorf("%s has the owner %#x (%s), want %#x as %s", path, got, owners[got], own, paths[0])
				}
			}
		})
	}
	// Where nothing is known, it is the topmost cgroup.
	if a, b := owner(t, top+"/jobs/1"), owner(t, top+"/jobs/2/3"); a != b || a == 0 {
		t.Errorf("owners %#x and %#x, want that of %s", a, b, top)
	}
}

// An owner that gets a group while it is taken from the index returns to it, unless its cgroup
// has another by now.
func TestOwnersReturnToTheIndex(t *testing.T) {
	p := open(t, Options{Hook: HookAuto})
	p.stopControlLoop() // as in TestOwners
	c := caller.Command(t, "loop:1")
	caller.Enter(t, c, caller.Cgroup(t, "getsockopt-owner/system.slice/return.service"))
	caller.Run(t, c)
	var entry bpf.GetsockoptProcessEntry
	if err := p.collection.Maps[bpf.GetsockoptMapProcesses].Lookup(uint32(c.Process.Pid), &entry); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	owners := p.collection.Maps[bpf.GetsockoptMapOwners]
	take := func() (index uint32) {
		t.Helper()
		if err := errors.Join(owners.Lookup(entry.Owner, &index), owners.Delete(entry.Owner)); err != nil {
			t.Fatal(err)
		}
		return index
	}
	index := take()
	const other = 0 // any index that is not its own
	for _, step := range []struct {
		inIndex  bool
		want     uint32
		detached bool
	}{{true, other, true}, {false, index, false}} {
		p.places.detached[index] = entry.Owner
		if step.inIndex {
			if err := owners.Update(entry.Owner, uint32(other), ebpf.UpdateNoExist); err != nil {
				t.Fatal(err)
			}
			p.places.owners[other].Groups++ // so that it stays
		}
		if err := p.places.freeOwners(); err != nil {
			t.Fatal(err)
		}
		if now := take(); now != step.want {
			t.Errorf("index %d, want %d", now, step.want)
		}
		if _, detached := p.places.detached[index]; detached != step.detached {
			t.Errorf("detached %t, want %t", detached, step.detached)
		}
	}
}
