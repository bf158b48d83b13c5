// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

const binary = "/otelcol-getsockopt-k8s"

// config needs no API server, which the image's own does.
const config = `
receivers:
  getsockopt: {collection_interval: 1s}
exporters:
  otlp_http: {endpoint: %s}
service:
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %s}}}}]}}
  pipelines:
    traces: {receivers: [getsockopt], exporters: [otlp_http]}
`

// podman is Debian's podman with a storage of the test's own.
type podman struct{ storage []string }

func newPodman(t *testing.T) podman {
	folder := t.TempDir()
	p := podman{[]string{
		"--root=" + folder + "/storage", "--runroot=" + folder + "/run", "--tmpdir=" + folder + "/tmp",
		"--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=file",
	}}
	t.Cleanup(func() { p.run(t, "rm", "--all", "--force", "--time=0") })
	return p
}

func (p podman) command(arguments ...string) *exec.Cmd {
	return exec.Command("podman", slices.Concat(p.storage, arguments)...)
}

func (p podman) run(t *testing.T, arguments ...string) string {
	t.Helper()
	return command(t, "podman", slices.Concat(p.storage, arguments)...)
}

// image is that of an architecture, from the layout that make image writes.
func (p podman) image(t *testing.T, arch string) string {
	t.Helper()
	layout := harness.File("dist/image")
	if _, err := os.Stat(filepath.Join(layout, "index.json")); err != nil {
		t.Fatalf("%v: run make test-ship, which builds the image", err)
	}
	lines := strings.Fields(p.run(t, "pull", "--quiet", "--arch="+arch, "oci:"+layout+":"+version(t)))
	return lines[len(lines)-1]
}

// files is the file system of an image.
func (p podman) files(t *testing.T, image string) string {
	t.Helper()
	container := p.run(t, "create", image)
	return p.run(t, "mount", container)
}

// callers make known calls on the host and in a container, which the Collector of the sink
// sees.
func (p podman) callers(t *testing.T, image string, s *sink, name string) {
	t.Helper()
	caller.Run(t, caller.Command(t, "kinds:1", "OTEL_SERVICE_NAME="+name+"-host"))
	if id := s.await(t, name+"-host"); id != "" {
		t.Errorf("the host's program is in container %s", id)
	}
	inside := caller.Command(t, "kinds:1", "OTEL_SERVICE_NAME="+name+"-contained")
	idFile := filepath.Join(t.TempDir(), "id")
	arguments := []string{
		"run", "--cidfile=" + idFile, "--network=host", "--user=0", "--pids-limit=0", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024",
		"--security-opt=seccomp=unconfined", "--volume=" + inside.Path + ":/caller:ro", "--entrypoint=/caller",
	}
	for _, variable := range inside.Env {
		arguments = append(arguments, "--env="+variable)
	}
	p.run(t, append(arguments, image)...)
	id, err := os.ReadFile(idFile)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.await(t, name+"-contained"); got != string(id) {
		t.Errorf("the contained program is in container %q, want %s", got, id)
	}
}

func TestImageUnderPodman(t *testing.T) {
	p, s := newPodman(t), newSink(t)
	image := p.image(t, "amd64")
	c := harness.Run(t, p.command("run", "--rm", "--name=collector", "--network=host", "--read-only", "--pids-limit=0", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024",
		"--cap-drop=all", "--cap-add=BPF,PERFMON", "--security-opt=no-new-privileges", "--security-opt=seccomp=unconfined",
		"--env=CONFIG="+fmt.Sprintf(config, s.url, harness.Port(t)), image, "--config=env:CONFIG"))
	if err := c.AwaitOutput(limit, harness.Ready, 1); err != nil {
		t.Fatal(err)
	}
	if user := p.run(t, "inspect", "--format={{.Config.User}}", "collector"); user != "10001" {
		t.Errorf("it runs as user %q, want 10001", user)
	}
	p.callers(t, image, s, "podman")
	if err := c.Stop(syscall.SIGTERM, limit); err != nil {
		t.Error(err)
	}
}

// kind is a kind of pod, of deploy/kubernetes, as which user.
type kind struct {
	capabilities []string
	hostPID      bool
	uid          int
}

var (
	least = kind{capabilities: []string{"CAP_BPF", "CAP_PERFMON"}}
	full  = kind{capabilities: []string{"CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"}, hostPID: true}
)

// start runs a program as Kubernetes' runtimes do: they give a container the capabilities of
// its securityContext as permitted, effective and bounding, and none as inheritable and
// ambient.
func (k kind) start(t *testing.T, root string, environment ...string) *harness.Process {
	t.Helper()
	bundle := t.TempDir()
	command(t, "runc", "spec", "--bundle", bundle)
	path := filepath.Join(bundle, "config.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var spec map[string]any
	if err := json.Unmarshal(b, &spec); err != nil {
		t.Fatal(err)
	}
	spec["process"] = map[string]any{
		"args": []string{binary, "--config=env:CONFIG"}, "env": environment, "cwd": "/",
		"user":            map[string]any{"uid": k.uid, "gid": k.uid},
		"noNewPrivileges": true,
		"capabilities": map[string]any{
			"bounding": k.capabilities, "effective": k.capabilities, "permitted": k.capabilities,
			"inheritable": []string{}, "ambient": []string{},
		},
		"rlimits": []any{map[string]any{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024}},
	}
	spec["root"] = map[string]any{"path": root, "readonly": true}
	linux := spec["linux"].(map[string]any)
	// The network is the host's, where the sink is. Of a pod's other namespaces only that
	// of processes may be.
	linux["namespaces"] = slices.DeleteFunc(linux["namespaces"].([]any), func(n any) bool {
		name := n.(map[string]any)["type"]
		return name == "network" || name == "pid" && k.hostPID
	})
	if b, err = json.Marshal(spec); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	return harness.Run(t, exec.Command("runc", "--root="+state, "run", "--bundle="+bundle, fmt.Sprintf("ship-%d", time.Now().UnixNano())))
}

// hidden makes known calls, until the test is over, in a process whose environment is too
// large for the kernel side.
func hidden(t *testing.T, service string) {
	t.Helper()
	large := strings.Repeat("x", 100_000)
	harness.Run(t, caller.Command(t, "kinds:1000000", "A="+large, "B="+large, "OTEL_SERVICE_NAME="+service))
}

func TestImageAsInKubernetes(t *testing.T) {
	p := newPodman(t)
	image := p.image(t, "amd64")
	root := p.files(t, image)
	start := func(t *testing.T, k kind, s *sink) (c *harness.Process, metrics string) {
		port := harness.Port(t)
		c = k.start(t, root, "CONFIG="+fmt.Sprintf(config, s.url, port))
		if err := c.AwaitOutput(limit, harness.Ready, 1); err != nil {
			t.Fatal(err)
		}
		return c, "http://127.0.0.1:" + port + "/metrics"
	}
	stop := func(t *testing.T, c *harness.Process) {
		if err := c.Stop(syscall.SIGTERM, limit); err != nil {
			t.Error(err)
		}
	}
	t.Run("least", func(t *testing.T) {
		s := newSink(t)
		c, metrics := start(t, least, s)
		p.callers(t, image, s, "least")
		// What it lacks is counted.
		hidden(t, "hidden")
		counted := regexp.MustCompile(`(?m)^otelcol_receiver_getsockopt_identity_incomplete.*reason="environment_unavailable".* [1-9]`)
		harness.Eventually(t, limit, "the process whose environment is hidden is counted", func() bool {
			return counted.MatchString(get(t, metrics))
		}, func() string { return get(t, metrics) })
		stop(t, c)
	})
	t.Run("full", func(t *testing.T) {
		s := newSink(t)
		c, _ := start(t, full, s)
		p.callers(t, image, s, "full")
		hidden(t, "hidden")
		s.await(t, "hidden")
		stop(t, c)
	})
	// The kernel takes all capabilities from another user's program, as nothing is ambient.
	t.Run("another user", func(t *testing.T) {
		k := least
		k.uid = 10001
		c := k.start(t, root, "CONFIG="+fmt.Sprintf(config, "http://127.0.0.1", harness.Port(t)))
		if status, err := c.AwaitExit(limit); err != nil || status == 0 {
			t.Fatalf("status %d, %v", status, err)
		}
		if !strings.Contains(c.Output(), "CAP_BPF") {
			t.Error("the error does not name what is missing")
		}
	})
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What is in the image, which has a program and an SBOM for each architecture.
func TestImageContent(t *testing.T) {
	p := newPodman(t)
	for _, arch := range []string{"amd64", "arm64"} {
		image := p.image(t, arch)
		if got := p.run(t, "inspect", "--format={{.Os}}/{{.Architecture}} {{.Config.User}} {{.Config.Entrypoint}}", image); got != "linux/"+arch+" 10001 ["+binary+"]" {
			t.Errorf("the image for %s is %s", arch, got)
		}
		root := p.files(t, image)
		var bom struct {
			BomFormat  string
			Metadata   struct{ Component struct{ Version string } }
			Components []struct{ Name string }
		}
		b, err := os.ReadFile(filepath.Join(root, "usr/share/doc", binary, "sbom.cdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &bom); err != nil {
			t.Fatal(err)
		}
		if bom.BomFormat != "CycloneDX" || bom.Metadata.Component.Version != "v"+version(t) || len(bom.Components) < 100 {
			t.Errorf("the SBOM is of %s %s, with %d modules", bom.BomFormat, bom.Metadata.Component.Version, len(bom.Components))
		}
		packed, err := os.ReadFile(filepath.Join(root, "etc", binary, "config.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		original, err := os.ReadFile(harness.File("config/kubernetes.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if string(packed) != string(original) {
			t.Error("the configuration in the image is not config/kubernetes.yaml")
		}
	}
}

// A second build of the layout has the digest of the first.
func TestImageIsReproducible(t *testing.T) {
	again := filepath.Join(t.TempDir(), "image")
	cmd := exec.Command("go", "run", "-C", harness.File("tools/image"), ".", "-root", "../..", "-out", again)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	first, err := os.ReadFile(harness.File("dist/image/index.json"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(filepath.Join(again, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if string(first) != string(second) {
		t.Errorf("the first build is\n%s\nthe second\n%s", first, second)
	}
}

// The image for arm64 starts on a kernel for arm64 and sees calls, in a virtual machine.
func TestImageOnArm64(t *testing.T) {
	p := newPodman(t)
	root := p.files(t, p.image(t, "arm64"))
	cmd := exec.Command("go", "run", "./test/kernels", "-kernel", "6.12-arm64", "-collector", filepath.Join(root, binary), "-only-collector")
	cmd.Dir = harness.File(".")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
