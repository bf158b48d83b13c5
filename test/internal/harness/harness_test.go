// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limit is more than anything here takes.
const limit = 30 * time.Second

func start(t *testing.T, script string) *Process {
	t.Helper()
	return Run(t, exec.Command("sh", "-c", script))
}

func TestProcessStops(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		fails  bool
	}{
		"with status 0":  {"trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done", false},
		"with status 3":  {"trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done", true},
		"by the signal":  {"echo ready; exec sleep 1000", true},
		"with a panic":   {"trap 'echo panic: no; exit 0' TERM; echo ready; while :; do sleep 0.01; done", true},
		"after an error": {"trap 'exit 0' TERM; echo an error >&2; echo ready; while :; do sleep 0.01; done", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, test.script)
			if err := p.AwaitOutput(limit, "ready", 1); err != nil {
				t.Fatal(err)
			}
			if err := p.Stop(syscall.SIGTERM, limit); (err != nil) != test.fails {
				t.Errorf("error %v, want one: %t", err, test.fails)
			}
			if !p.Ended() {
				t.Error("it has not ended")
			}
		})
	}
}

func TestAwaitOutputOfAProcessThatEnds(t *testing.T) {
	if err := start(t, "echo ready; echo ready").AwaitOutput(limit, "ready", 2); err != nil {
		t.Errorf("it was ready before it ended: %v", err)
	}
	err := start(t, "echo no way; exit 1").AwaitOutput(limit, "ready", 1)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(err.Error(), "no way") {
		t.Errorf("error %v, want its exit status and output", err)
	}
}

func TestProcessThatDoesNotStop(t *testing.T) {
	p := start(t, "trap '' TERM; echo ready; while :; do sleep 0.01; done")
	if err := p.AwaitOutput(limit, "ready", 1); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(syscall.SIGTERM, 50*time.Millisecond); err == nil {
		t.Error("it stopped")
	}
	p.Kill()
	if status, err := p.AwaitExit(limit); err != nil || status != -1 {
		t.Errorf("status %d, error %v after it was killed", status, err)
	}
}

func TestStartCopiesTheOutput(t *testing.T) {
	var copied bytes.Buffer
	p, err := Start(exec.Command("sh", "-c", "echo out; echo err >&2"), &copied)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := p.AwaitExit(limit); err != nil || status != 0 {
		t.Fatalf("status %d, error %v", status, err)
	}
	if p.Output() != "out\nerr\n" || copied.String() != p.Output() {
		t.Errorf("%q is kept, %q copied", p.Output(), &copied)
	}
}

func TestWorkerAnswersLines(t *testing.T) {
	w, err := StartWorker(exec.Command("sh", "-c", `read -r line; echo "got $line"; cat >/dev/null; echo rest; echo failed >&2; exit $line`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.In.Write([]byte("4\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := w.Out.ReadString('\n'); line != "got 4\n" {
		t.Fatalf("%q, %v", line, err)
	}
	var exit *exec.ExitError
	if _, err := w.Stop(); !errors.As(err, &exit) || exit.ExitCode() != 4 || !strings.Contains(err.Error(), "failed") {
		t.Errorf("error %v, want status 4 and what it wrote", err)
	}
}

func TestAwaitReturnsTheLastError(t *testing.T) {
	last := errors.New("not yet")
	if err := Await(0, func() error { return last }); !errors.Is(err, last) {
		t.Errorf("error %v, want %v", err, last)
	}
	calls := 0
	err := Await(limit, func() error {
		if calls++; calls < 3 {
			return last
		}
		return nil
	})
	if err != nil || calls != 3 {
		t.Errorf("error %v after %d calls, want none after 3", err, calls)
	}
}
