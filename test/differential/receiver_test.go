// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap/zaptest"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/selection"
	"github.com/getsockopt/getsockoptreceiver/internal/traces"
)

// settings are the options of the two halves of the receiver.
type settings struct {
	probe  probe.Options
	traces traces.Options
}

// everything keeps every call, with its whole value and all attributes.
func everything() settings {
	return settings{
		probe: probe.Options{
			Spans: true, ValuesEnabled: true, ValueMaxLength: 4096, SamplingRatio: 1, RingBytes: 16 << 20,
		},
		traces: traces.Options{
			ValuesEnabled: true, PendingErrorStatus: true,
			Always: traces.Always{
				LevelCode: true, Code: true, Value: true, ValueInt: true, Entry: true, Family: true, Type: true,
				Protocol: true, State: true, Cookie: true, NetworkNamespace: true,
			},
		},
	}
}

// receiver is the way from the kernel to spans, as the Collector walks it.
type receiver struct {
	probe   *probe.Probe
	builder *traces.Builder
	spans   []span
	copied  int // bytes of values that left the kernel
	faults  []error
	counted record.Snapshot // once finished
	end     func()
}

// span is what became of a call.
type span struct {
	process    int
	start      time.Time
	attributes map[string]any // "name" and "status" are the span's own
}

// watch starts the receiver for this binary's programs, or for executables with
// other names: whatever else runs on the host must not fill the ring.
func watch(t *testing.T, s settings, executables ...string) *receiver {
	t.Helper()
	if executables == nil {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		executables = []string{filepath.Base(exe)}
	}
	var err error
	if s.probe.Selection, err = selection.Compile(selection.List{Executables: executables}, selection.List{}); err != nil {
		t.Fatal(err)
	}
	s.probe.Logger = zaptest.NewLogger(t)
	p, err := probe.Start(context.Background(), s.probe)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{probe: p, builder: traces.New(s.traces)}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				r.read(time.Now())
				return
			default:
				r.read(time.Now().Add(20 * time.Millisecond))
			}
		}
	}()
	r.end = sync.OnceFunc(func() {
		if err := p.Detach(); err != nil {
			t.Error(err)
		}
		close(stop)
		<-stopped
	})
	t.Cleanup(func() {
		r.end()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// read takes what is in the ring until the deadline.
func (r *receiver) read(deadline time.Time) {
	for {
		n, err := r.probe.Read(deadline, 1<<12, r)
		if err != nil {
			r.faults = append(r.faults, err)
		}
		if n < 1<<12 {
			return
		}
	}
}

// Call implements probe.Handler.
func (r *receiver) Call(c *record.Call) {
	r.copied += len(c.Value)
	r.builder.Add(c, nil)
	s := r.builder.Take().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	attributes := s.Attributes().AsRaw()
	attributes["name"] = s.Name()
	attributes["status"] = s.Status().Code().String()
	r.spans = append(r.spans, span{process: int(c.Process.PID), start: s.StartTimestamp().AsTime(), attributes: attributes})
}

// Process implements probe.Handler.
func (r *receiver) Process(*record.Process) {}

// Malformed implements probe.Handler.
func (r *receiver) Malformed(err error) { r.faults = append(r.faults, err) }

// finish stops the receiver and returns the spans in the order of their start.
// None may have been lost.
func (r *receiver) finish(t *testing.T) []span {
	t.Helper()
	r.end()
	if len(r.faults) != 0 {
		t.Errorf("reading the ring: %v", r.faults)
	}
	s, err := r.probe.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Counters; c.RingFull != 0 || c.NoStorage != 0 || c.NoCompletion != 0 || c.SampledOut != 0 {
		t.Errorf("calls were lost: %+v", c)
	}
	r.counted = s
	slices.SortStableFunc(r.spans, func(a, b span) int { return a.start.Compare(b.start) })
	return r.spans
}

// of returns the spans of one process.
func of(spans []span, process int) []span {
	var own []span
	for _, s := range spans {
		if s.process == process {
			own = append(own, s)
		}
	}
	return own
}

// observe runs a program under the receiver and holds its spans against what
// it reports of its calls.
func observe(t *testing.T, s settings, name string, environment ...string) []span {
	t.Helper()
	r := watch(t, s)
	c := program(t, name, environment...)
	known := run(t, c)
	own := of(r.finish(t), c.Process.Pid)
	compareFacts(t, own, known)
	return own
}

func compareFacts(t *testing.T, spans []span, known []fact) {
	t.Helper()
	if len(spans) != len(known) {
		t.Errorf("%d spans, the program made %d calls", len(spans), len(known))
	}
	if len(known) == 0 {
		t.Error("the program knows of no call: this shows nothing")
	}
	for i := range min(len(spans), len(known)) {
		compareFact(t, i, spans[i].attributes, known[i])
	}
}

func compareFact(t *testing.T, i int, got map[string]any, want fact) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		value := want[key]
		if n, ok := value.(json.Number); ok {
			value, _ = n.Int64()
		}
		name, isPattern := key, key[len(key)-1] == '~'
		if isPattern {
			name = key[:len(key)-1]
			text, _ := got[name].(string)
			if regexp.MustCompile(value.(string)).MatchString(text) {
				continue
			}
		} else if got[name] == value { // nil when absent
			continue
		}
		t.Errorf("call %d, %v: %s is %v, want %v", i, got["name"], name, got[name], value)
	}
}

// The status codes as pdata writes them.
var (
	statusUnset = ptrace.StatusCodeUnset.String()
	statusError = ptrace.StatusCodeError.String()
)
