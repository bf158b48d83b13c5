// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"net/http"
	"os"
	"os/exec"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// With the extensions of config/kubernetes.yaml a permanent error, and no other, makes the pod
// not ready, and nothing has kubelet restart it.
func TestReadinessFailsOnPermanentErrorsAlone(t *testing.T) {
	// As the distributions are built, which share its packages.
	executable := harness.GoProgram(t, "test/kubernetes/statusprogram", "CGO_ENABLED=0", "-trimpath", "-ldflags=-s -w")
	a := &agent{ip: podIP(t)}
	c := exec.Command(executable, "--feature-gates=extension.healthcheck.useComponentStatus", "--config", healthConfig(t))
	c.Env = []string{"POD_IP=" + a.ip}
	collector, err := harness.StartWorker(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(collector.Kill)
	for _, step := range []struct {
		status, reported string
		ready            int
	}{
		{"ok", "StatusOK", http.StatusOK},
		{"recoverable", "StatusRecoverableError", http.StatusOK},
		{"ok", "StatusOK", http.StatusOK},
		{"permanent", "StatusPermanentError", http.StatusInternalServerError},
	} {
		if _, err := collector.In.Write([]byte(step.status + "\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := collector.Out.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, limit, step.reported+" is reported", func() bool {
			_, h := a.probe(t, "13133", "/live")
			return h.Status == step.reported
		})
		live, _ := a.probe(t, "13133", "/live")
		ready, h := a.probe(t, "13134", "/ready")
		if live != http.StatusOK || ready != step.ready || h.Status != step.reported {
			t.Errorf("%s: live %d, ready %d, %+v; want live 200, ready %d", step.status, live, ready, h, step.ready)
		}
	}
}

// healthConfig is the part of config/kubernetes.yaml that answers to kubelet, with a pipeline.
func healthConfig(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(harness.File("config/kubernetes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var of struct {
		Extensions map[string]any `yaml:"extensions"`
		Service    struct {
			Extensions []string `yaml:"extensions"`
		} `yaml:"service"`
	}
	if err := yaml.Unmarshal(b, &of); err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	b, err = yaml.Marshal(object{
		"extensions": of.Extensions, "receivers": object{"status": nil}, "exporters": object{"debug": nil},
		"service": object{
			"extensions": of.Service.Extensions, "telemetry": object{"metrics": object{"level": "none"}},
			"pipelines": object{"traces": object{"receivers": []string{"status"}, "exporters": []string{"debug"}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return harness.WriteFile(t, "health.yaml", string(b))
}
