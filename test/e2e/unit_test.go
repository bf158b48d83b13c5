// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// A program of an interpreter has the name of its unit's service, with each version of
// cgroups, though it makes one call and is gone.
func TestProgramsAreNamedAfterTheirUnits(t *testing.T) {
	const script = `
echo $$ >"$1/cgroup.procs"
exec python3 -c 'import socket; socket.socket().getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)'`
	sink := newSink(t)
	selected := "select: {systemd_units: ['shop-*.service', 'worker-*@*.service']}"
	c := collector(t, sink.config(t, defaults+", "+selected+", group_by: [service, systemd_unit]", noMetrics))
	for _, h := range hierarchies(t) {
		version := map[string]string{"": "v2", "name=systemd": "v1"}[h.name]
		if version == "" {
			continue // systemd has no units in it
		}
		for path, service := range map[string]string{
			"/system.slice/shop-api-VERSION.service":                                       "shop-api-VERSION",
			"/system.slice/system-worker.slice/worker-VERSION@blue.service":                "worker-VERSION",
			"/user.slice/user-1000.slice/user@1000.service/app.slice/shop-VERSION.service": "shop-VERSION",
		} {
			path, service := strings.ReplaceAll(path, "VERSION", version), strings.ReplaceAll(service, "VERSION", version)
			unit := path[strings.LastIndexByte(path, '/')+1:]
			t.Run(unit, func(t *testing.T) {
				run := exec.Command("/bin/sh", "-ec", script, "sh", caller.CgroupAt(t, h.mount, "/getsockopt-e2e"+path))
				if out, err := run.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				pid := run.Process.Pid
				harness.Eventually(t, arrivalLimit, "span and metric arrive", func() bool {
					return len(sink.spansOf(pid)) == 1 && sink.calls(service) == 1
				}, sink.summary(service, pid))
				resource := sink.spansOf(pid)[0].resource
				if resource["service.name"] != service || resource["systemd.unit.name"] != unit {
					t.Errorf("the span is of service %v and unit %v, want %s and %s", resource["service.name"], resource["systemd.unit.name"], service, unit)
				}
			})
		}
	}
	c.stop(t)
}
