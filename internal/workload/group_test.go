// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// Groups that are no service, or not yet one.
func TestResourcesOfContainerHostAndProcessGroups(t *testing.T) {
	boot := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	groups := NewGroups(NewProcfs("/proc"), func() time.Time { return boot })
	id := strings.Repeat("0123456789abcdef", 4)
	container := groups.Resource(record.Group{ID: 1, Origin: record.OriginContainer, ContainerID: id})
	if len(container.Attributes) != 2 || find(container, containerID) != id || find(container, serviceInstanceID) != id {
		t.Errorf("container: %+v", container)
	}
	if none := groups.Resource(record.Group{ID: 2, Origin: record.OriginContainer}); len(none.Attributes) != 0 {
		t.Errorf("no container: %+v", none)
	}
	if host := groups.Resource(record.Group{ID: 3, Origin: record.OriginHost}); len(host.Attributes) != 0 {
		t.Errorf("host: %+v", host)
	}
	process := groups.Resource(record.Group{
		ID: 4, Origin: record.OriginExecutable | record.OriginProcess, Name: "curl", Process: record.ProcessKey{PID: 7, Start: 1_500_000_000},
	})
	if find(process, serviceName) != "curl" || find(process, processCreationTime) != "2026-01-02T03:04:06.500Z" || len(process.Attributes) != 3 {
		t.Errorf("process: %+v", process)
	}
}

// A process has the names of its group, as far as the group is of a service, or of a
// container: the process may have other ones by now, or none.
func TestProcessHasTheNamesOfItsGroup(t *testing.T) {
	now := &record.Process{ExecutableName: "x", Environment: []string{
		"OTEL_SERVICE_NAME=later", "OTEL_RESOURCE_ATTRIBUTES=service.namespace=later,service.instance.id=later,team=a",
	}}
	first := record.Group{ID: 1, Name: "first", Origin: record.OriginServiceName, Namespace: "shop", InstanceID: "1"}
	nameless := record.Group{ID: 1}
	for name, test := range map[string]struct {
		group                        record.Group
		parts                        record.Origin
		service, namespace, instance string
	}{
		"service":           {first, record.OriginService, "first", "shop", "later"},
		"container":         {record.Group{ID: 1, InstanceID: "1"}, record.OriginContainer, "later", "later", "1"},
		"both":              {first, record.OriginService | record.OriginContainer, "first", "shop", "1"},
		"host":              {nameless, record.OriginHost, "later", "later", "later"},
		"no name":           {nameless, record.OriginService, "", "", "later"},
		"the container's":   {record.Group{ID: 1, ContainerID: "4f"}, record.OriginContainer, "later", "later", ""},
		"without any group": {record.Group{ID: record.GroupOverflow}, 0, "later", "later", "later"},
	} {
		t.Run(name, func(t *testing.T) {
			test.group.Origin |= test.parts
			if test.group.Namespace != "" {
				test.group.Origin |= record.OriginAttributes
			}
			if test.parts&record.OriginContainer == 0 {
				test.group.InstanceID = "" // it is not a part of the group
			}
			r := NewGroups(NewProcfs("/proc"), time.Now).Name(FromProcess(now, time.Time{}, "", byExecutable), test.group)
			for key, want := range map[string]string{
				serviceName: test.service, serviceNamespace: test.namespace, serviceInstanceID: test.instance, "team": "a",
			} {
				if got := find(r, key); got != want {
					t.Errorf("%s is %q, want %q", key, got, want)
				}
			}
		})
	}
}

// A name is kept as long as its group exists, and no longer.
func TestGroupsForgetWhatIsGone(t *testing.T) {
	groups := NewGroups(NewProcfs("/proc"), time.Now)
	exist := map[uint32]record.Group{}
	for id := range uint32(1000) {
		exist = map[uint32]record.Group{id: {ID: id, Origin: record.OriginServiceName, Name: fmt.Sprint(id)}, 5000: {ID: 5000, Origin: record.OriginServiceName, Name: "stays"}}
		for _, g := range exist {
			groups.Resource(g)
		}
		groups.Keep(exist)
	}
	if len(groups.known) != len(exist) {
		t.Errorf("%d groups are known of %d", len(groups.known), len(exist))
	}
	if r := groups.Resource(record.Group{ID: 5000, Origin: record.OriginServiceName, Name: "renamed"}); find(r, serviceName) != "stays" {
		t.Errorf("got %+v, want the name of before", r)
	}
}

// An environment that the kernel could not read is read from /proc, and decided
// on once.
func TestGroupEnvironmentIsReadFromProcfs(t *testing.T) {
	c := exec.Command("sleep", "60")
	c.Env = []string{"OTEL_SERVICE_NAME=late", "OTEL_RESOURCE_ATTRIBUTES=service.namespace=shop"}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	gone := func() { _ = c.Process.Kill(); _ = c.Wait() }
	defer gone()
	start, err := startTicks(fmt.Sprintf("/proc/%d", c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	// The new program's environment is in place a moment after exec succeeded.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", c.Process.Pid)); err == nil && len(b) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the process has no environment")
		}
	}
	groups := NewGroups(NewProcfs("/proc"), time.Now)
	unavailable := record.Group{
		ID: 1, Origin: record.OriginExecutable | record.OriginEnvironmentUnavailable | record.OriginService, Name: "sleep",
		Process: record.ProcessKey{PID: uint32(c.Process.Pid), Start: start * tick},
	}
	for range 2 {
		if r := groups.Resource(unavailable); find(r, serviceName) != "late" || find(r, serviceNamespace) != "shop" {
			t.Errorf("got %+v, want service late of namespace shop", r)
		}
		gone()
	}
	other := unavailable
	other.ID, other.Process.Start = 2, unavailable.Process.Start+tick
	if r := groups.Resource(other); find(r, serviceName) != "sleep" {
		t.Errorf("of another process: got %+v, want service sleep", r)
	}
}

// The process that has the pid now may be another one, or cannot be looked at: the
// group keeps the name that the kernel found.
func TestGroupEnvironmentOfAnotherProcessIsNotUsed(t *testing.T) {
	good := map[string]string{
		"environ": "OTEL_SERVICE_NAME=shop\x00", "stat": stat, "exe": "/usr/bin/sh", "namespace": initialPIDNamespace,
	}
	for name, test := range map[string]struct {
		without, change, to string
		origin              record.Origin
		want                string
	}{
		"as it was":                   {want: "shop"},
		"same service":                {origin: record.OriginServiceName, change: "environ", to: "OTEL_SERVICE_NAME=sh\x00", want: "sh"},
		"other service":               {origin: record.OriginServiceName, change: "environ", to: "OTEL_SERVICE_NAME=cart\x00", want: "sh"},
		"other executable":            {change: "exe", to: "/usr/bin/python3", want: "sh"},
		"other start":                 {change: "stat", to: strings.Replace(stat, "12345", "12346", 1), want: "sh"},
		"procfs of another namespace": {change: "namespace", to: "pid:[4026532001]", want: "sh"},
		"no namespace":                {without: "namespace", want: "sh"},
		"no environment":              {without: "environ", want: "sh"},
		"no start":                    {without: "stat", want: "sh"},
		"executable cannot be read":   {without: "exe", want: "sh"},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(good)
			delete(files, test.without)
			if test.change != "" {
				files[test.change] = test.to
			}
			namespace, found := files["namespace"]
			delete(files, "namespace")
			root := procfs(t, files)
			if found {
				self := filepath.Join(root, "self", "ns")
				if err := errors.Join(os.MkdirAll(self, 0o755), os.Symlink(namespace, filepath.Join(self, "pid"))); err != nil {
					t.Fatal(err)
				}
			}
			origin := record.OriginExecutable
			if test.origin != 0 {
				origin = test.origin
			}
			group := record.Group{ID: 1, Origin: origin | record.OriginEnvironmentUnavailable | record.OriginService, Name: "sh", Process: record.ProcessKey{PID: 4711, Start: 12345 * tick}}
			if got := find(NewGroups(NewProcfs(root), time.Now).Resource(group), serviceName); got != test.want {
				t.Errorf("got service %q, want %q", got, test.want)
			}
		})
	}
}
