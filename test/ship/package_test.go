// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

const unit = "otelcol-getsockopt"

// debian is a freshly installed system, booted in namespaces of its own.
type debian struct {
	folder string
	init   string // the process id of its systemd
}

// boot installs Debian's smallest system with systemd, and starts it.
func boot(t *testing.T) debian {
	t.Helper()
	folder := t.TempDir()
	// The mirror that this system uses.
	sites := strings.Fields(command(t, "apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian"))
	if len(sites) == 0 {
		t.Fatal("apt on this system has no archive of Debian, to install it from")
	}
	command(t, "debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus", "bookworm", folder, sites[0])
	host := harness.Run(t, exec.Command("unshare", "--pid", "--fork", "--kill-child=KILL", "--mount", "--cgroup", "--uts", "--ipc", "--net",
		"sh", harness.File("test/ship/boot.sh"), folder))
	d := debian{folder: folder}
	harness.Eventually(t, limit, "systemd boots", func() bool {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", host.PID()))
		d.init = strings.TrimSpace(string(children))
		if err != nil || d.init == "" {
			return false
		}
		out, err := d.try("systemctl is-system-running")
		return err == nil && out == "running"
	})
	return d
}

func (d debian) try(script string) (string, error) {
	cmd := exec.Command("nsenter", "--target", d.init, "--all", "--root", "--wd", "sh", "-c", script)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (d debian) run(t *testing.T, script string) string {
	t.Helper()
	out, err := d.try(script)
	if err != nil {
		journal, _ := d.try("journalctl -u " + unit)
		t.Fatalf("%s: %v\n%s\n%s", script, err, out, journal)
	}
	return out
}

// documented runs a command of docs/install.md.
func (d debian) documented(t *testing.T, line string) string {
	t.Helper()
	b, err := os.ReadFile(harness.File("docs/install.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "\n"+line+"\n") {
		t.Errorf("docs/install.md has no line %q", line)
	}
	return d.run(t, line)
}

// awaitJournal waits until the service has written lines that match, that many times.
func (d debian) awaitJournal(t *testing.T, pattern string, times int) {
	t.Helper()
	compiled := regexp.MustCompile(pattern)
	var journal string
	harness.Eventually(t, limit, fmt.Sprintf("the journal has %q %d times", pattern, times), func() bool {
		journal, _ = d.try("journalctl -o cat -u " + unit)
		return len(compiled.FindAllString(journal, -1)) >= times
	}, func() string { return journal })
}

// A life of the package: installed, it runs; it is reloaded, set up, upgraded, stopped,
// removed and purged.
func TestDebianPackage(t *testing.T) {
	d := boot(t)
	files, err := filepath.Glob(harness.File("dist/packages/*_" + runtime.GOARCH + ".deb"))
	if err != nil || len(files) != 1 {
		t.Fatalf("found the packages %q: run make test-ship, which builds one", files)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.folder, "root", "new.deb"), b, 0o644); err != nil {
		t.Fatal(err)
	}

	d.run(t, "dpkg -i /root/new.deb")
	// The start ended when the Collector was ready, and not before.
	if state := d.documented(t, "systemctl is-active otelcol-getsockopt"); state != "active" {
		t.Fatalf("after the installation the service is %s", state)
	}
	d.awaitJournal(t, harness.Ready, 1)
	if user := d.run(t, `stat -c %u /proc/$(systemctl show -P MainPID `+unit+`)`); user == "0" {
		t.Error("the service runs as root")
	}
	// It fails above 3.0.
	d.run(t, "systemd-analyze security --no-pager --threshold=30 "+unit)

	caller.Run(t, caller.Command(t, "kinds:1", "OTEL_SERVICE_NAME=refused"))
	d.awaitJournal(t, `(?m)^getsockopt SO_ERROR .*error.type=ECONNREFUSED .*service.name=refused`, 1)

	d.documented(t, "systemctl reload otelcol-getsockopt")
	d.awaitJournal(t, harness.Ready, 2)
	d.run(t, "cd /etc/otelcol-getsockopt && cp config.yaml good && echo 'processors: 1' >>config.yaml")
	if out, err := d.try("systemctl reload " + unit); err == nil {
		t.Errorf("a broken configuration was loaded: %s", out)
	}
	if state := d.run(t, "systemctl is-active "+unit); state != "active" {
		t.Errorf("after the reload of a broken configuration the service is %s", state)
	}
	d.run(t, "cd /etc/otelcol-getsockopt && mv good config.yaml")

	d.documented(t, `sed -i 's/^#GATEWAY=/GATEWAY=/' /etc/otelcol-getsockopt/environment`)
	d.documented(t, `sed -i 's/^#PROMETHEUS=/PROMETHEUS=/' /etc/otelcol-getsockopt/environment`)
	d.documented(t, "systemctl restart otelcol-getsockopt")
	d.awaitJournal(t, harness.Ready, 3)
	if line := d.run(t, "tr '\\0' ' ' </proc/$(systemctl show -P MainPID "+unit+")/cmdline"); !strings.Contains(line, "prometheus.yaml") || !strings.Contains(line, "agent.yaml") {
		t.Errorf("the service runs %s, without prometheus.yaml or agent.yaml", line)
	}

	// An upgrade keeps what the user changed, and restarts.
	d.run(t, "dpkg -i /root/new.deb")
	d.awaitJournal(t, harness.Ready, 4)
	d.run(t, "grep -q '^GATEWAY=' /etc/otelcol-getsockopt/environment")

	// Where the receiver cannot run the start fails, and the journal has the reason.
	const override = "/run/systemd/system/" + unit + ".service.d"
	d.run(t, "mkdir -p "+override+" && printf '[Service]\\nInaccessiblePaths=/sys/kernel/btf\\n' >"+override+"/no-btf.conf && systemctl daemon-reload")
	if out, err := d.try("systemctl restart " + unit); err == nil {
		t.Errorf("it starts without BTF: %s", out)
	}
	d.awaitJournal(t, "(?m)^Error: .*CONFIG_DEBUG_INFO_BTF", 1)
	d.run(t, "rm -r "+override+" && systemctl daemon-reload && systemctl restart "+unit)
	d.awaitJournal(t, harness.Ready, 5)

	d.documented(t, "systemctl stop otelcol-getsockopt")
	if result := d.run(t, "systemctl show -P Result -P ExecMainStatus "+unit); result != "success\n0" {
		t.Errorf("it stopped with %q", result)
	}
	// An upgrade does not start what was stopped.
	d.run(t, "dpkg -i /root/new.deb")
	if state, _ := d.try("systemctl is-active " + unit); state != "inactive" {
		t.Errorf("after an upgrade the stopped service is %s", state)
	}
	d.run(t, "systemctl start "+unit)
	d.documented(t, "dpkg --remove otelcol-getsockopt")
	d.run(t, "test -e /etc/otelcol-getsockopt/config.yaml && test ! -e /usr/bin/otelcol-getsockopt")
	// What was removed is new again, with its old configuration.
	d.run(t, "dpkg -i /root/new.deb")
	if state := d.run(t, "systemctl is-active "+unit); state != "active" {
		t.Errorf("after a removal and an installation the service is %s", state)
	}
	d.run(t, "grep -q '^GATEWAY=' /etc/otelcol-getsockopt/environment")
	d.documented(t, "dpkg --purge otelcol-getsockopt")
	left := d.run(t, "find / -xdev -name '*otelcol*' ! -path '/proc/*' ! -path '/var/lib/apt/*'")
	if left != "" {
		t.Errorf("the purge leaves %s", left)
	}
	if processes, err := d.try("systemctl is-active " + unit); err == nil {
		t.Errorf("after the purge the service is %s", processes)
	}
}

// The rpm has the files of the deb.
func TestPackagesHaveTheSameFiles(t *testing.T) {
	list := func(pattern, name string, arguments ...string) string {
		files, err := filepath.Glob(harness.File("dist/packages/" + pattern))
		if err != nil || len(files) != 2 {
			t.Fatalf("found the packages %q, want one for each architecture: run make test-ship", files)
		}
		var lists []string
		for _, file := range files {
			var paths []string
			for line := range strings.Lines(command(t, name, append(arguments, file)...)) {
				fields := strings.Fields(line)
				if strings.HasPrefix(line, "d") { // a folder
					continue
				}
				paths = append(paths, strings.TrimPrefix(fields[len(fields)-1], "."))
			}
			lists = append(lists, strings.Join(paths, "\n"))
		}
		if lists[0] != lists[1] {
			t.Errorf("the architectures differ:\n%s\n\n%s", lists[0], lists[1])
		}
		return lists[0]
	}
	deb := list("*.deb", "dpkg-deb", "--contents")
	rpm := list("*.rpm", "rpm", "--query", "--list", "--verbose", "--package")
	if deb != rpm {
		t.Errorf("the deb has\n%s\n\nthe rpm\n%s", deb, rpm)
	}
}

// A removal of the rpm leaves nothing but the folders of other packages.
func TestRemovedRPMLeavesNothing(t *testing.T) {
	files, err := filepath.Glob(harness.File("dist/packages/*.rpm"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found the packages %q: run make test-ship, which builds them", files)
	}
	root := t.TempDir()
	command(t, "rpm", "--root="+root, "--initdb")
	command(t, "rpm", "--root="+root, "--install", "--nodeps", "--noscripts", "--ignorearch", files[0])
	command(t, "rpm", "--root="+root, "--erase", "--noscripts", "otelcol-getsockopt")
	if left := command(t, "find", root, "-name", "*otelcol*"); left != "" {
		t.Errorf("the removal leaves %s", left)
	}
}
