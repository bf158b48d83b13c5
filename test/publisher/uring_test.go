// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"os/exec"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// A request of io_uring has the span in which it was submitted, if it runs at once. The
// tracepoints tell, other hooks do not.
func TestRequestsOfIOUring(t *testing.T) {
	executable := compile(t, "uring", "uring.c", harness.File("test/publisher/testdata/context.c"), "-rdynamic")
	r := watchWith(t, executable, probe.Options{Hook: probe.HookTracepoint})
	p := start(t, exec.Command(executable))
	r.awaitPublished(t, p.command.Process.Pid, record.ProcessKey{})
	p.proceed(t)
	check(t, p.finish(t), r.take(t), record.SourceThreadContext)
	s, err := r.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	// On another thread, and after a timeout.
	if s.Counters.ParentDeferred != 2 {
		t.Errorf("%d requests outside of the system call that submitted them, want 2", s.Counters.ParentDeferred)
	}
}
