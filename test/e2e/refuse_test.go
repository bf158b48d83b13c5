// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// refusal runs a Collector that must not start, and returns its last word.
func refusal(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	output, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("%v, want status 1\n%s", err, output)
	}
	// An error may have several lines, after which nothing comes.
	_, message, found := strings.Cut("\n"+string(output), "\nError: ")
	if !found || strings.Contains(message, "\nError: ") || strings.Contains(string(output), "panic") {
		t.Fatalf("want one error\n%s", output)
	}
	return message
}

// checkLine wants an error of one line that names what is missing.
func checkLine(t *testing.T, message string, names ...string) {
	t.Helper()
	for _, name := range names {
		if !strings.Contains(message, name) {
			t.Errorf("the error does not name %s\n%s", name, message)
		}
	}
	if lines := strings.Count(strings.TrimSpace(message), "\n") + 1; lines != 1 {
		t.Errorf("the error has %d lines\n%s", lines, message)
	}
}

const toDebug = `
exporters:
  debug:
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    traces:
      receivers: [getsockopt]
      exporters: [debug]
    metrics:
      receivers: [getsockopt]
      exporters: [debug]
`

func TestBadConfigurationNamesTheKey(t *testing.T) {
	for _, test := range []struct{ name, receiver, key string }{
		{"unknown key", "{hooks: auto}", "hooks"},
		{"unknown nested key", "{values: {maximum: 1}}", "maximum"},
		{"unknown hook", "{hook: magic}", "hook"},
		{"zero interval", "{collection_interval: 0s}", "collection_interval"},
		{"negative interval", "{collection_interval: -1s}", "collection_interval"},
		{"no duration", "{collection_interval: soon}", "collection_interval"},
		{"too long", "{values: {max_length: 5000}}", "max_length"},
		{"nothing to expand", "{values: {expand: [SO_TYPE]}}", "expand"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := harness.WriteFile(t, "collector.yaml", "receivers: {getsockopt: "+test.receiver+"}\n"+toDebug)
			ctx, cancel := context.WithTimeout(t.Context(), startLimit)
			defer cancel()
			message := refusal(t, exec.CommandContext(ctx, harness.Built(t, harness.Collector), "--config", config))
			if !strings.Contains(message, test.key) || !strings.Contains(message, "getsockopt") {
				t.Errorf("want an error that names %s of getsockopt\n%s", test.key, message)
			}
		})
	}
}

func TestWithoutPrivilegesNamesTheCapabilities(t *testing.T) {
	// Not below t.TempDir, which is closed to other users.
	dir, err := os.MkdirTemp("", "getsockopt-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program, config := filepath.Join(dir, "collector"), filepath.Join(dir, "collector.yaml")
	copyFile(t, harness.Built(t, harness.Collector), program)
	if err := os.WriteFile(config, []byte("receivers: {getsockopt: }\n"+toDebug), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--config", config)
	cmd.Dir = dir
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	message := refusal(t, cmd)
	checkLine(t, message, "CAP_BPF", "CAP_PERFMON")
}

// A kernel that does not describe its types: here, one whose description is
// hidden from the Collector.
func TestWithoutTypeInformationNamesTheOption(t *testing.T) {
	config := harness.WriteFile(t, "collector.yaml", "receivers: {getsockopt: }\n"+toDebug)
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-ec", `mount -t tmpfs none /sys/kernel/btf; exec "$@"`, "sh",
		harness.Built(t, harness.Collector), "--config", config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // whose mounts are private then
	message := refusal(t, cmd)
	checkLine(t, message, "CONFIG_DEBUG_INFO_BTF", "/sys/kernel/btf/vmlinux")
}
