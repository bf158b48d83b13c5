// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/publisher"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/selection"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit is how long to wait for what takes milliseconds.
const limit = 20 * time.Second

// rig is a probe with a finder of publishers, for one program.
type rig struct {
	*probe.Probe
	published chan record.ProcessKey
	known     map[int]record.ProcessKey // the last image of each process that was published
	calls     []record.Call
}

// Publish reports what was published to the test.
func (r *rig) Publish(of publisher.Process, owner string) error {
	err := r.Probe.Publish(of, owner)
	r.published <- of.Key
	return err
}

// watch starts a rig for the calls of an executable.
func watch(t *testing.T, executable string) *rig {
	t.Helper()
	return watchWith(t, executable, probe.Options{Hook: probe.HookAuto, OBIMap: filepath.Join(t.TempDir(), "none")})
}

// watchWith starts a rig with a hook, and a map of OBI's at a path, if there is one.
func watchWith(t *testing.T, executable string, o probe.Options) *rig {
	t.Helper()
	selected, err := selection.Compile(selection.List{Executables: []string{filepath.Base(executable)}}, selection.List{})
	if err != nil {
		t.Fatal(err)
	}
	logger := zaptest.NewLogger(t)
	o.Spans, o.Parents, o.SamplingRatio, o.Selection, o.Logger = true, true, 1, selected, logger
	p, err := probe.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range p.Degraded() {
		t.Log(reason)
	}
	if !p.RemovesPublishers() {
		t.Error("publishers are not removed as they exit")
	}
	r := &rig{Probe: p, published: make(chan record.ProcessKey, 1024), known: make(map[int]record.ProcessKey)}
	finder := publisher.New(r, publisher.Options{
		Root: "/proc", Interval: time.Second, Observed: p.ObservesContexts(), Parents: true, Logger: logger,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		finder.Run(ctx, nil)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// awaitPublished waits until a process is known to publish, in another image than before.
func (r *rig) awaitPublished(t *testing.T, pid int, before record.ProcessKey) record.ProcessKey {
	t.Helper()
	timer := time.After(limit)
	for {
		if key, found := r.known[pid]; found && key != before {
			return key
		}
		select {
		case key := <-r.published:
			r.known[int(key.PID)] = key
		case <-timer:
			t.Fatalf("process %d was not found to publish its active span", pid)
		}
	}
}

// Call keeps a call; the rig is the handler of its probe.
func (r *rig) Call(c *record.Call) {
	kept := *c
	kept.Comm, kept.Value = slices.Clone(c.Comm), nil
	kept.Socket = record.Socket{}
	r.calls = append(r.calls, kept)
}

// Process has no use for the descriptions of processes.
func (r *rig) Process(*record.Process) {}

// Malformed keeps nothing: the probe and this test are built together.
func (r *rig) Malformed(err error) { panic(err) }

// take reads all calls that were made, and returns them by option, with SO_ERROR and others
// that a program makes several times as often as they were made.
func (r *rig) take(t *testing.T) map[int32][]record.Call {
	t.Helper()
	for {
		n, err := r.Read(time.Now(), 1<<16, r)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	byOption := make(map[int32][]record.Call)
	for _, c := range r.calls {
		byOption[c.Option] = append(byOption[c.Option], c)
	}
	r.calls = nil
	return byOption
}

// expected is a line of a program's output: the option of a call, and the active span.
type expected struct {
	option  int32
	traceID string
	spanID  string
	flags   uint8
}

const noSpan = "0000000000000000"

func parse(t *testing.T, output string) (lines []expected) {
	t.Helper()
	for line := range strings.Lines(output) {
		var e expected
		n, err := fmt.Sscanf(line, "%d %s %s %x", &e.option, &e.traceID, &e.spanID, &e.flags)
		if n < 3 { // programs of Go know no flags
			t.Fatalf("output %q: %v", line, err)
		}
		lines = append(lines, e)
	}
	if len(lines) == 0 {
		t.Fatal("the program printed no call")
	}
	return lines
}

// check compares the parents of calls with what the program printed.
func check(t *testing.T, output string, calls map[int32][]record.Call, source record.ParentSource) {
	t.Helper()
	for _, want := range parse(t, output) {
		got := calls[want.option]
		if len(got) != 1 {
			t.Errorf("%d calls of option %d, want 1", len(got), want.option)
			continue
		}
		parent := got[0].Parent
		traceID, spanID := hex.EncodeToString(parent.TraceID[:]), hex.EncodeToString(parent.SpanID[:])
		if traceID != want.traceID || spanID != want.spanID || parent.Flags != want.flags {
			t.Errorf("option %d has the parent %s %s %x, want %s %s %x", want.option, traceID, spanID, parent.Flags, want.traceID, want.spanID, want.flags)
		}
		wantSource := source
		if want.spanID == noSpan {
			wantSource = record.SourceNone
		}
		if parent.Source != wantSource {
			t.Errorf("option %d: the parent is from %s, want %s", want.option, parent.Source, wantSource)
		}
	}
}

// program is a program that waits for a line before it makes its calls.
type program struct {
	command *exec.Cmd
	input   *bufio.Writer
	output  strings.Builder
	close   func() error
}

func start(t *testing.T, command *exec.Cmd) *program {
	t.Helper()
	p := &program{command: command}
	command.Stdout, command.Stderr = &p.output, &p.output
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.input, p.close = bufio.NewWriter(in), in.Close
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if command.ProcessState == nil {
			_ = command.Process.Kill()
			_ = command.Wait()
		}
	})
	return p
}

// proceed lets the program make its calls.
func (p *program) proceed(t *testing.T) {
	t.Helper()
	if _, err := p.input.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	if err := p.input.Flush(); err != nil {
		t.Fatal(err)
	}
}

// finish waits for the end of the program, and returns what it printed.
func (p *program) finish(t *testing.T) string {
	t.Helper()
	if err := p.command.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", p.command.Path, err, p.output.String())
	}
	return p.output.String()
}

// compile compiles a file of testdata to a program with a name, and returns its path.
func compile(t *testing.T, name, source string, flags ...string) string {
	t.Helper()
	executable := filepath.Join(t.TempDir(), name)
	if err := harness.Compile(executable, "test/publisher/testdata/"+source, append(flags, "-Wall", "-Werror")...); err != nil {
		t.Fatal(err)
	}
	return executable
}
