// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/internal/threadcontext"
)

// goPrograms builds a program with OpenTelemetry's SDK and otel-profiling-go, in the ways in
// which Go programs are built; or it returns the one that was built.
func goPrograms(t *testing.T) map[string]string {
	t.Helper()
	if folder := os.Getenv(threadcontext.Built); folder != "" {
		return map[string]string{"built": filepath.Join(folder, threadcontext.GoProgram)}
	}
	programs := make(map[string]string)
	for name, build := range map[string]struct {
		cgo   string
		flags []string
	}{
		"static": {"0", []string{"-trimpath", "-ldflags=-s -w"}},
		"pie":    {"1", []string{"-buildmode=pie"}},
	} {
		programs[name] = harness.GoProgram(t, "test/publisher/otelprogram", "CGO_ENABLED="+build.cgo, build.flags...)
	}
	return programs
}

func TestGoLabels(t *testing.T) {
	for name, executable := range goPrograms(t) {
		t.Run(name, func(t *testing.T) {
			r := watch(t, executable)
			p := start(t, exec.Command(executable))
			r.awaitPublished(t, p.command.Process.Pid, record.ProcessKey{})
			p.proceed(t)
			check(t, p.finish(t), r.take(t), record.SourceGoLabels)
			s, err := r.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			// Five labels that are no ids, a decimal that is too large, and too many labels.
			if s.Counters.ParentMalformed != 7 || s.Counters.ParentUnreadable != 0 {
				t.Errorf("%d contexts malformed and %d unreadable, want 7 and 0", s.Counters.ParentMalformed, s.Counters.ParentUnreadable)
			}
		})
	}
}
