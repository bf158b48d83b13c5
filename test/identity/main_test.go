// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/selection"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// steps is the known program, see testdata/steps.c.
var steps string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "identity")
	if err != nil {
		panic(err)
	}
	steps = filepath.Join(dir, "steps")
	// Static, because it runs in roots without libraries.
	if out, err := exec.Command("cc", "-O1", "-static", "-pthread", "-o", steps, "testdata/steps.c").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("compile the known program: %v\n%s", err, out))
	}
	status := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(status)
}

// watcher is a probe, and what belongs to a receiver around it.
type watcher struct {
	probe  *probe.Probe
	procfs *workload.Procfs
	groups *workload.Groups
	// Of service.name, those of the probe.
	fallbacks []record.NameFallback
}

// watch starts a probe for the known program, under that name or another, with the
// fallbacks that are the default.
func watch(t *testing.T, groupBy probe.GroupBy, include selection.List) *watcher {
	t.Helper()
	return watchNamed(t, groupBy, include, record.FallbackSystemdUnit, record.FallbackExecutable)
}

func watchNamed(t *testing.T, groupBy probe.GroupBy, include selection.List, fallbacks ...record.NameFallback) *watcher {
	t.Helper()
	return watchSampled(t, groupBy, include, 1, fallbacks...)
}

// watchSampled starts a probe that keeps the failed calls, and others in the given ratio.
func watchSampled(t *testing.T, groupBy probe.GroupBy, include selection.List, ratio float64, fallbacks ...record.NameFallback) *watcher {
	t.Helper()
	if include.Executables == nil {
		include.Executables = []string{filepath.Base(steps)}
	}
	rules, err := selection.Compile(include, selection.List{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := probe.Start(context.Background(), probe.Options{
		Hook: probe.HookAuto, Spans: true, SamplingRatio: ratio, KeepFailed: true, GroupBy: groupBy, NameFallbacks: fallbacks,
		Selection: rules, Logger: zaptest.NewLogger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	procfs := workload.NewProcfs("/proc")
	return &watcher{p, procfs, workload.NewGroups(procfs, time.Now), fallbacks}
}

// program is a known program that has made its call and waits.
type program struct {
	pid      int
	exe, env string // /proc/self/exe and OTEL_SERVICE_NAME, as it has them
	end      func()
}

// start runs the known program up to where it waits. It may be wrapped in a
// shell, which gives way to it.
func start(t *testing.T, c *exec.Cmd) *program {
	t.Helper()
	c.Stderr = os.Stderr
	w, err := harness.StartWorker(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &program{pid: w.PID()}
	ended := false
	p.end = func() {
		if ended {
			return
		}
		ended = true
		if _, err := w.Stop(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(p.end)
	for _, to := range []*string{&p.exe, &p.env} {
		line, err := w.Out.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		*to = strings.TrimSuffix(line, "\n")
	}
	return p
}

// seen is what a receiver would make of a program.
type seen struct {
	calls   int
	process record.Process
	spans   *workload.Resource
	metrics *workload.Resource
	counted record.Counters
}

func (w *watcher) look(t *testing.T, pid int) seen {
	t.Helper()
	h := &handler{pid: uint32(pid)}
	for {
		n, err := w.probe.Read(time.Now(), 1<<20, h)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	s := seen{calls: h.calls, process: h.process}
	if h.calls == 0 {
		return s
	}
	// A failure shows in the resource.
	_ = w.procfs.Complete(&h.process)
	s.process = h.process
	s.spans = workload.FromProcess(&h.process, time.Time{}, w.procfs.CgroupLine(&h.process), w.fallbacks)
	snapshot, err := w.probe.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	s.metrics = w.groups.Resource(snapshot.Groups[h.process.Group])
	s.counted = snapshot.Counters
	return s
}

// handler keeps what one process did.
type handler struct {
	pid     uint32
	calls   int
	process record.Process
}

func (h *handler) Call(c *record.Call) {
	if c.Process.PID == h.pid {
		h.calls++
	}
}

func (h *handler) Process(p *record.Process) {
	if p.Key.PID == h.pid {
		h.process = *p
	}
}

func (h *handler) Malformed(error) {}

func attribute(r *workload.Resource, key string) any {
	for _, a := range r.Attributes {
		if a.Key == key && a.IsInt {
			return a.Int
		} else if a.Key == key {
			return a.Str
		}
	}
	return nil
}
