// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// agent is the Collector as config/kubernetes.yaml has it, in a pod without hostPID.
type agent struct {
	*harness.Process
	ip string // of its pod
}

// confine gives the Collector what a pod has: a /proc of its own pid namespace, and a
// service account.
const confine = `
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs none /var/run
mkdir -p /var/run/secrets/kubernetes.io
ln -s "$0" /var/run/secrets/kubernetes.io/serviceaccount
exec "$@"`

// startAgent starts it with changes to its configuration. Only the known program is
// observed, and often.
func startAgent(t *testing.T, api *apiServer, gateway, changes string) *agent {
	t.Helper()
	host, port, err := net.SplitHostPort(api.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{ip: podIP(t)}
	cmd := exec.Command("/bin/sh", "-ec", confine, api.account(t),
		harness.Built(t, harness.CollectorK8s), "--feature-gates=extension.healthcheck.useComponentStatus",
		"--config", harness.File("config/kubernetes.yaml"), "--config", harness.WriteFile(t, "test.yaml", fmt.Sprintf(`
receivers:
  getsockopt: {collection_interval: 500ms, spans: {max_per_second: 0}, select: {executables: [%s]}}
%s`, known, changes)))
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "K8S_NODE_NAME=" + node, "POD_IP=" + a.ip, "GATEWAY_ENDPOINT=" + gateway,
		"KUBERNETES_SERVICE_HOST=" + host, "KUBERNETES_SERVICE_PORT=" + port,
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	a.Process = harness.Run(t, cmd)
	if err := a.AwaitReady(limit, 1); err != nil {
		t.Fatal(err)
	}
	return a
}

// podIP is an address of the loopback. The ports are the same in each pod.
func podIP(t *testing.T) string {
	t.Helper()
	var b [2]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.88.%d.%d", b[0], 1+b[1]%254)
}

// client leaves no connection behind.
var client = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// health is the body of an answer to a probe.
type health struct{ Status, Error string }

// probe asks as kubelet does.
func (a *agent) probe(t *testing.T, port, path string) (code int, h health) {
	t.Helper()
	response, err := client.Get("http://" + net.JoinHostPort(a.ip, port) + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&h); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, h
}

// checkHealth checks that the pod is alive and ready. Where the kernel runs 32-bit programs
// a hook may leave the receiver degraded from the start.
func (a *agent) checkHealth(t *testing.T) {
	t.Helper()
	for _, p := range [][2]string{{"13133", "/live"}, {"13134", "/ready"}} {
		if code, h := a.probe(t, p[0], p[1]); code != http.StatusOK {
			t.Errorf("%s: code %d, %+v", p[1], code, h)
		}
	}
}

// telemetry is the sum of one of the Collector's own metrics, over the points whose
// attributes contain a text.
func (a *agent) telemetry(t *testing.T, metric, attribute string) (sum float64) {
	t.Helper()
	response, err := client.Get("http://" + net.JoinHostPort(a.ip, "8888") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		point, value, _ := strings.Cut(lines.Text(), " ")
		if name, labels, _ := strings.Cut(point, "{"); name == metric && strings.Contains(labels, attribute) {
			number, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += number
		}
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return sum
}

func (a *agent) stop(t *testing.T) {
	t.Helper()
	if err := a.Stop(syscall.SIGTERM, limit); err != nil {
		t.Fatal(err)
	}
}
