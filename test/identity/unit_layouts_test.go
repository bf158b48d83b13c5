// SPDX-License-Identifier: Apache-2.0

package identity

import "strings"

// unitLayout is a cgroup as systemd, or somebody else, makes it, with the unit of the
// service in it, and the name of that service.
type unitLayout struct{ path, unit, service string }

const (
	manager = "/user.slice/user-1000.slice/user@1000.service"
	nspawn  = "/machine.slice/systemd-nspawn@web.service/payload"
	machine = "/machine.slice/machine-web.scope/payload"
)

var longest = strings.Repeat("n", 255-len(".service"))

var unitLayouts = []unitLayout{
	// Of the system.
	{"/system.slice/shop-api.service", "shop-api.service", "shop-api"},
	{"/system.slice/shop-api.service/workers/1", "shop-api.service", "shop-api"},
	{"/shop.slice/shop-eu.slice/shop-api.service", "shop-api.service", "shop-api"},
	{"/shop-api.service", "shop-api.service", "shop-api"},
	{"/system.slice/system-worker.slice/worker@blue.service", "worker@blue.service", "worker"},
	{"/system.slice/system-worker.slice/worker@blue@1.service", "worker@blue@1.service", "worker"},
	{"/system.slice/sshd@0-10.0.0.1:22-10.0.0.2:51000.service", "sshd@0-10.0.0.1:22-10.0.0.2:51000.service", "sshd"},
	{`/system.slice/backup\x2ddb.service`, `backup\x2ddb.service`, `backup\x2ddb`},
	{`/system.slice/system-mount\x2dit.slice/mount\x2dit@srv-a\x2db.service`, `mount\x2dit@srv-a\x2db.service`, `mount\x2dit`},
	{"/system.slice/node.js.service", "node.js.service", "node.js"},
	{"/system.slice/x.service", "x.service", "x"},
	{"/system.slice/" + longest + ".service", longest + ".service", longest},
	// A program may make what it likes in a cgroup that it was given.
	{"/system.slice/runner.service/other.service", "runner.service", "runner"},
	{"/system.slice/runner.service/system.slice/other.service", "runner.service", "runner"},
	{"/system.slice/runner.service/job.scope/other.service", "runner.service", "runner"},

	// Names that cgroups reserve have an underscore more.
	{"/system.slice/_cpu.service", "cpu.service", "cpu"},
	{"/system.slice/_tasks.service", "tasks.service", "tasks"},
	{"/system.slice/_cgroup.service", "cgroup.service", "cgroup"},
	{"/system.slice/__private.service", "_private.service", "_private"},
	{"/system.slice/_.hidden.service", ".hidden.service", ".hidden"},
	{"/system.slice/_memory@x.service", "memory@x.service", "memory"},

	// Of a user.
	{manager + "/app.slice/notes.service", "notes.service", "notes"},
	{manager + "/app.slice/notes.service/child", "notes.service", "notes"},
	{manager + "/app.slice/app-notes@9.service", "app-notes@9.service", "app-notes"},
	{manager + "/session.slice/dbus.service", "dbus.service", "dbus"},
	{manager + "/notes.service", "notes.service", "notes"},
	{manager + "/app.slice/notes.service/other.service", "notes.service", "notes"},
	{"/user.slice/user-1000.slice/user-runtime-dir@1000.service", "user-runtime-dir@1000.service", "user-runtime-dir"},

	// Logins, runs, scopes, and what is no unit.
	{"/init.scope", "", ""},
	{"/system.slice/run-u123.service", "", ""},
	{"/system.slice/run-u123.service/other.service", "", ""},
	{"/system.slice/run-r0123456789abcdef.scope", "", ""},
	{"/system.slice/app.scope", "", ""},
	{"/user.slice/user-1000.slice/session-3.scope", "", ""},
	{"/user.slice/user-1000.slice/session-3.scope/other.service", "", ""},
	{manager, "", ""},
	{manager + "/init.scope", "", ""},
	{manager + "/app.slice/run-u5.service", "", ""},
	{manager + "/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1.scope", "", ""},
	{"/system.slice", "", ""},
	{"/system.slice/mnt-data.mount", "", ""},
	{"/system.slice/.service", "", ""},
	{"/system.slice/_.service", "", ""},
	{"/system.slice/@x.service", "", ""},
	{"/system.slice/worker@.service", "", ""},
	{"/system.slice/a b.service", "", ""},
	{"/system.slice/caf\u00e9.service", "", ""},
	{"/system.slice/web.service.d", "", ""},
	{"/jobs/build", "", ""},

	// A unit above a container is the engine's.
	{"/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:INNER", "", ""},
	{"/system.slice/docker.service/docker/INNER", "", ""},
	{"/system.slice/k3s.service" + pod + "/INNER", "", ""},
	{manager + "/app.slice/docker.service/docker/INNER", "", ""},
	{manager + "/user.slice/libpod-INNER.scope/container", "", ""},
	{"/system.slice/docker-INNER.scope", "", ""},
	{slice + "/cri-containerd-INNER.scope", "", ""},
	// But for the one that is split between engine and container.
	{"/system.slice/web.service/libpod-payload-INNER", "web.service", "web"},
	{"/system.slice/web.service/libpod-payload-INNER/init", "web.service", "web"},
	{"/system.slice/system-web.slice/web@1.service/libpod-payload-INNER", "web@1.service", "web"},
	{manager + "/app.slice/web.service/libpod-payload-INNER", "web.service", "web"},
	{"/system.slice/web.service/libpod-payload-INNER/system.slice/nginx.service", "nginx.service", "nginx"},
	{"/system.slice/web.service/supervisor", "web.service", "web"}, // conmon, and others outside
	{"/system.slice/run-u1.service/libpod-payload-INNER", "", ""},
	{"/system.slice/web.service/other/libpod-payload-INNER", "", ""},
	{"/machine.slice/libpod-conmon-INNER.scope", "", ""},
	// Nor does it count where the container is certain only at the end of the path.
	{"/system.slice/actions.service/actions_job/INNER", "", ""},
	// This is none, so the unit counts.
	{manager + "/app.slice/build.service/INNER", "build.service", "build"},
	{"/docker/OUTER" + manager + "/app.slice/build.service/INNER", "build.service", "build"},
	// A systemd in a container has units.
	{"/docker/INNER/system.slice/nginx.service", "nginx.service", "nginx"},
	{"/system.slice/docker-INNER.scope/system.slice/nginx.service/child", "nginx.service", "nginx"},
	{"/machine.slice/libpod-INNER.scope/container/system.slice/sshd.service", "sshd.service", "sshd"},
	{"/docker/INNER/init.scope", "", ""},
	{"/docker/OUTER/system.slice/docker.service/docker/INNER", "", ""},
	{pod + "/INNER/system.slice/nginx.service", "nginx.service", "nginx"},
	{nspawn + "/system.slice/nginx.service", "nginx.service", "nginx"},
	{nspawn + "/init.scope", "", ""},
	{nspawn, "", ""},
	{machine + "/system.slice/nginx.service", "nginx.service", "nginx"},
	{machine, "", ""},
	{"/lxc.payload.web/system.slice/nginx.service", "nginx.service", "nginx"},
}
