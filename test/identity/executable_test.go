// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/selection"
)

// shell runs a script in a mount namespace of its own; $steps is the known
// program, and the working directory is empty.
func shell(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	c := exec.Command("unshare", "-m", "sh", "-ec", script)
	c.Dir = t.TempDir()
	c.Env = append(os.Environ(), "steps="+steps, "long="+strings.Repeat("n", 200))
	return c
}

// The executable has the name and the path that /proc/self/exe shows to the
// process itself, wherever its file is, and the same name in spans, metrics and
// select.executables.
func TestExecutableAgreesWithProcfs(t *testing.T) {
	tests := map[string]struct {
		script string
		want   string // its name; the path is asked of the process
		cut    bool   // it has no path that can be had
	}{
		"plain":                     {"cp $steps plain; exec ./plain call", "plain", false},
		"mounted file":              {"cp $steps myapp-amd64; touch myapp; mount --bind myapp-amd64 myapp; exec ./myapp call", "myapp", false},
		"mounted twice":             {"cp $steps one; touch two three; mount --bind one two; mount --bind two three; mount --bind one three; exec ./three call", "three", false},
		"mounted 300 times":         {"touch f; i=0; while [ $i -lt 300 ]; do mount --bind $steps f; i=$((i+1)); done; exec ./f call", "f", false},
		"in a mounted directory":    {"mkdir a b; cp $steps a/inner; mount --bind a b; exec b/inner call", "inner", false},
		"on a file system":          {"mkdir m; mount -t tmpfs none m; cp $steps m/onfs; exec m/onfs call", "onfs", false},
		"memfd":                     {"exec $steps memfd payload call", "memfd:payload", false},
		"memfd with a slash":        {"exec $steps memfd a/b call", "memfd:a/b", false},
		"deleted":                   {"cp $steps gone; exec ./gone unlink gone call", "gone", false},
		"named deleted":             {"cp $steps 'x (deleted)'; exec './x (deleted)' call", "x (deleted)", false},
		"named and deleted":         {"cp $steps 'x (deleted)'; exec './x (deleted)' unlink 'x (deleted)' call", "x (deleted)", false},
		"mounted nowhere any more":  {"cp $steps own; touch other; mount --bind own other; exec ./other detach other call", "own", true},
		"chroot":                    {"mkdir -p jail/usr/bin jail/proc; mount -t proc proc jail/proc; cp $steps jail/usr/bin/jailed; exec chroot jail /usr/bin/jailed call", "jailed", false},
		"chroot on a mount":         {"mkdir jail; mount -t tmpfs none jail; mkdir jail/bin jail/proc; mount -t proc proc jail/proc; cp $steps jail/bin/jailed; exec chroot jail /bin/jailed call", "jailed", false},
		"chroot and a mounted file": {"mkdir -p jail/bin jail/proc; mount -t proc proc jail/proc; touch jail/bin/a; mount --bind $steps jail/bin/a; exec chroot jail /bin/a call", "a", false},
		"outside of the root":       {"mkdir jail; cp $steps outside; exec ./outside chroot jail call", "outside", false},
		"60 components":             {"exec $steps descend 60 d call", "deepest", false},
		"1500 components":           {"exec $steps descend 1500 d call", "deepest", false},
		"3500 bytes":                {"exec $steps descend 17 $long call", "deepest", false},
		"9000 bytes":                {"exec $steps descend 45 $long call", "deepest", true},
		"3000 components":           {"exec $steps descend 3000 d call", "deepest", true},
		"bytes that are no text":    {"n=$(printf 'a\\351b'); cp $steps $n; exec ./$n call", `a\xe9b`, false},
	}
	var wanted selection.List
	for _, test := range tests {
		wanted.Executables = append(wanted.Executables, strings.ReplaceAll(test.want, `\xe9`, "\xe9"))
	}
	w := watch(t, probe.GroupByService, wanted)
	cut := uint64(0)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := start(t, shell(t, test.script))
			s := w.look(t, p.pid)
			if s.calls != 1 {
				t.Fatalf("select.executables lets %d calls through", s.calls)
			}
			path := any(nil)
			if !test.cut {
				path = strings.ReplaceAll(p.exe, "\xe9", `\xe9`)
				if strings.HasPrefix(name, "memfd") || name == "deleted" || name == "named and deleted" {
					path = strings.TrimSuffix(p.exe, " (deleted)")
				}
			} else if p.exe != "" && p.exe != "/" { // ENAMETOOLONG, or no path
				t.Errorf("the kernel has a path: %q", p.exe)
			}
			for key, want := range map[string]any{
				"service.name": test.want, "process.executable.name": test.want, "process.executable.path": path,
			} {
				if got := attribute(s.spans, key); got != want {
					t.Errorf("%s of spans is %q, want %q", key, got, want)
				}
			}
			if got := attribute(s.metrics, "service.name"); got != test.want {
				t.Errorf("metrics are of %q, want %q", got, test.want)
			}
			cut += count(test.cut)
			if got := s.counted.PathCut; got != cut {
				t.Errorf("%d paths counted as cut, want %d", got, cut)
			}
		})
	}
}

func count(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// An environment that user space completes is of the process with that
// executable, whatever its file is called.
func TestExecutableCompletedFromProcfs(t *testing.T) {
	const many = "i=0; while [ $i -lt 2500 ]; do export V$i=1; i=$((i+1)); done; export OTEL_SERVICE_NAME=completed; "
	for name, script := range map[string]string{
		"plain":             "exec $steps call",
		"mounted file":      "touch myapp; mount --bind $steps myapp; exec ./myapp call",
		"memfd":             "exec $steps memfd a/b call",
		"named and deleted": "cp $steps 'x (deleted)'; exec './x (deleted)' unlink 'x (deleted)' call",
		"mounted nowhere":   "touch other; mount --bind $steps other; exec ./other detach other call",
		"outside":           "mkdir jail; exec $steps chroot jail call",
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, probe.GroupByService, selection.List{Executables: []string{"steps", "myapp", "memfd:a/b", "x (deleted)"}})
			c := shell(t, many+script)
			c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "steps=" + steps}
			p := start(t, c)
			s := w.look(t, p.pid)
			if attribute(s.spans, "service.name") != p.env || attribute(s.metrics, "service.name") != p.env || p.env == "" {
				t.Errorf("spans are of %q, metrics of %q, getenv returns %q", attribute(s.spans, "service.name"), attribute(s.metrics, "service.name"), p.env)
			}
		})
	}
}

// A file that runs on a mount of another namespace, as runtimes run themselves.
func TestExecutableOfAnotherNamespace(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "m"), 0o755); err != nil {
		t.Fatal(err)
	}
	w := watch(t, probe.GroupByService, selection.List{Executables: []string{"inner"}})
	c := exec.Command("unshare", "-m", "sh", "-ec", "mount -t tmpfs none m; cp "+steps+" m/inner; cd m; exec unshare -m sh -ec 'umount -l "+filepath.Join(dir, "m")+"; exec ./inner call'")
	c.Dir = dir
	p := start(t, c)
	s := w.look(t, p.pid)
	if got := attribute(s.spans, "process.executable.path"); got != p.exe || !strings.HasSuffix(p.exe, "/inner") {
		t.Errorf("path %q, want %q", got, p.exe)
	}
	if attribute(s.spans, "service.name") != "inner" || attribute(s.metrics, "service.name") != "inner" {
		t.Errorf("spans are of %q, metrics of %q", attribute(s.spans, "service.name"), attribute(s.metrics, "service.name"))
	}
}
