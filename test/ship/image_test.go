// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

const binary = "/otelcol-getsockopt-k8s"

// config needs no API server, which the image's own does.
const config = `
receivers:
  getsockopt: {hook: %s}
exporters:
  otlp_http: {endpoint: %s}
service:
  telemetry: {metrics: {level: none}}
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
		"--env=CONFIG="+fmt.Sprintf(config, "auto", s.url), image, "--config=env:CONFIG"))
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

// Kubernetes' runtimes give a container the capabilities of its securityContext as permitted,
// effective and bounding, and none as inheritable and ambient.
func criSpec(t *testing.T, bundle, root string, uid int, arguments, environment []string) {
	t.Helper()
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
	capabilities := []string{"CAP_BPF", "CAP_PERFMON"}
	spec["process"] = map[string]any{
		"args": arguments, "env": environment, "cwd": "/",
		"user":            map[string]any{"uid": uid, "gid": uid},
		"noNewPrivileges": true,
		"capabilities": map[string]any{
			"bounding": capabilities, "effective": capabilities, "permitted": capabilities,
			"inheritable": []string{}, "ambient": []string{},
		},
		"rlimits": []any{map[string]any{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024}},
	}
	spec["root"] = map[string]any{"path": root, "readonly": true}
	linux := spec["linux"].(map[string]any)
	// The host's network, where the sink is. All other namespaces are the container's own.
	linux["namespaces"] = slices.DeleteFunc(linux["namespaces"].([]any), func(n any) bool {
		return n.(map[string]any)["type"] == "network"
	})
	if b, err = json.Marshal(spec); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestImageAsInKubernetes(t *testing.T) {
	p, s := newPodman(t), newSink(t)
	image := p.image(t, "amd64")
	root := p.files(t, image)
	start := func(t *testing.T, uid int) *harness.Process {
		bundle := t.TempDir()
		criSpec(t, bundle, root, uid, []string{binary, "--config=env:CONFIG"}, []string{"CONFIG=" + fmt.Sprintf(config, "auto", s.url)})
		return harness.Run(t, exec.Command("runc", "--root="+t.TempDir(), "run", "--bundle="+bundle, fmt.Sprintf("ship-%d-%d", os.Getpid(), uid)))
	}
	t.Run("root", func(t *testing.T) {
		c := start(t, 0)
		if err := c.AwaitOutput(limit, harness.Ready, 1); err != nil {
			t.Fatal(err)
		}
		p.callers(t, image, s, "cri")
		if err := c.Stop(syscall.SIGTERM, limit); err != nil {
			t.Error(err)
		}
	})
	// The kernel takes all capabilities from another user's program, as nothing is ambient.
	t.Run("another user", func(t *testing.T) {
		c := start(t, 10001)
		if status, err := c.AwaitExit(limit); err != nil || status == 0 {
			t.Fatalf("status %d, %v", status, err)
		}
		if !strings.Contains(c.Output(), "CAP_BPF") {
			t.Error("the error does not name what is missing")
		}
	})
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
