// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// Groups that are no service, or not yet one.
func TestGroupsOfOtherKinds(t *testing.T) {
	boot := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	groups := NewGroups(NewProcfs("/proc"), func() time.Time { return boot })
	id := strings.Repeat("0123456789abcdef", 4)
	container := groups.Resource(record.Group{ID: 1, Origin: record.OriginContainer, Name: id})
	if len(container.Attributes) != 1 || find(container, containerID) != id {
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

// An environment that the kernel could not read is read from /proc, and decided
// on once.
func TestGroupsWithoutEnvironment(t *testing.T) {
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
	unread := record.Group{
		ID: 1, Origin: record.OriginExecutable | record.OriginEnvironmentUnavailable, Name: "sleep",
		Process: record.ProcessKey{PID: uint32(c.Process.Pid), Start: start * tick},
	}
	for range 2 {
		if r := groups.Resource(unread); find(r, serviceName) != "late" || find(r, serviceNamespace) != "shop" {
			t.Errorf("%+v", r)
		}
		gone()
	}
	other := unread
	other.ID, other.Process.Start = 2, unread.Process.Start+tick
	if r := groups.Resource(other); find(r, serviceName) != "sleep" {
		t.Errorf("of another process: %+v", r)
	}
}
