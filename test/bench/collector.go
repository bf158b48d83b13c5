// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// The commands of a collector process, one word a line. Its response to each is its
// state.
const (
	askStart = "start" // the receiver, with both signals, and no limit on the spans a second
	askPool  = "pool"  // let memory of batches be used again, as a Collector with that feature gate does
	askState = "state" // nothing but its state
	askBlock = "block" // let the consumer of traces take nothing
	askStop  = "stop"  // let it take again, and stop the receiver
)

// poolGate is the Collector's feature gate, alpha in 0.160.
const poolGate = "pdata.useProtoPooling"

// state is the response of a collector process.
type state struct {
	Took       time.Duration // of the command
	FirstSpan  time.Duration // from the beginning of the start; 0: none yet
	Spans      uint64
	Points     uint64 // of metrics
	CPU        time.Duration
	Allocs     uint64
	AllocBytes uint64
	Error      string
}

// collector runs a receiver whose consumers discard everything: a Collector of which
// only the receiver has a cost.
func collector(in io.Reader, out io.Writer) error {
	c := held{sink: &sink{}}
	asked := bufio.NewScanner(in)
	answers := json.NewEncoder(out)
	for asked.Scan() {
		begin := time.Now()
		err := c.execute(asked.Text(), begin)
		took := time.Since(begin)
		s, failed := c.sink.state()
		s.Took = took
		if err := errors.Join(err, failed); err != nil {
			s.Error = err.Error()
		}
		if err := answers.Encode(s); err != nil {
			return err
		}
	}
	return asked.Err()
}

// held is the receiver of a collector process.
type held struct {
	sink    *sink
	signals []component.Component
}

func (h *held) execute(what string, begin time.Time) error {
	switch what {
	case askStart:
		return h.start(begin)
	case askPool:
		return featuregate.GlobalRegistry().Set(poolGate, true)
	case askBlock:
		h.sink.gate.Lock()
	case askStop:
		h.sink.gate.TryLock()
		h.sink.gate.Unlock()
		var errs []error
		for _, s := range h.signals {
			errs = append(errs, s.Shutdown(context.Background()))
		}
		h.signals = nil
		return errors.Join(errs...)
	}
	return nil
}

func (h *held) start(begin time.Time) error {
	ctx := context.Background()
	h.sink.begin.Store(begin.UnixNano())
	factory := getsockoptreceiver.NewFactory()
	config := factory.CreateDefaultConfig().(*getsockoptreceiver.Config)
	config.Spans.MaxPerSecond = 0
	// Calls of other programs on the host would count as the load's.
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	config.Select.Executables = []string{filepath.Base(self)}
	settings := receivertest.NewNopSettings(factory.Type())
	traces, err := factory.CreateTraces(ctx, settings, config, h.sink)
	if err != nil {
		return err
	}
	metrics, err := factory.CreateMetrics(ctx, settings, config, h.sink)
	if err != nil {
		return err
	}
	for _, s := range []component.Component{traces, metrics} {
		if err := s.Start(ctx, componenttest.NewNopHost()); err != nil {
			return err
		}
		h.signals = append(h.signals, s)
	}
	return nil
}

// sink discards what it is given, and counts it.
type sink struct {
	gate          sync.RWMutex // locked while nothing is taken
	begin, first  atomic.Int64 // of the start and of the first span
	spans, points atomic.Uint64
}

func (*sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// ConsumeTraces lets go of a batch as the Collector does for every consumer.
func (s *sink) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	if pref.MarkPipelineOwnedTraces(td) {
		defer pref.UnrefTraces(td)
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	s.first.CompareAndSwap(0, time.Now().UnixNano())
	s.spans.Add(uint64(td.SpanCount()))
	return nil
}

func (s *sink) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	if pref.MarkPipelineOwnedMetrics(md) {
		defer pref.UnrefMetrics(md)
	}
	s.points.Add(uint64(md.DataPointCount()))
	return nil
}

func (s *sink) state() (state, error) {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	var usage unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &usage)
	now := state{
		Spans: s.spans.Load(), Points: s.points.Load(),
		CPU:    time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
		Allocs: memory.Mallocs, AllocBytes: memory.TotalAlloc,
	}
	if first := s.first.Load(); first != 0 {
		now.FirstSpan = time.Duration(first - s.begin.Load())
	}
	return now, err
}

// collectorProcess is a collector process, seen from outside.
type collectorProcess struct {
	*harness.Worker
	answers *json.Decoder
}

// startCollector starts a process; the receiver in it is started by askStart.
func startCollector(ctx context.Context) (*collectorProcess, error) {
	c := exec.CommandContext(ctx, "/proc/self/exe")
	c.Env = []string{roleVariable + "=" + roleCollector}
	c.Stderr = os.Stderr
	w, err := harness.StartWorker(c)
	if err != nil {
		return nil, err
	}
	return &collectorProcess{Worker: w, answers: json.NewDecoder(w.Out)}, nil
}

func (c *collectorProcess) ask(what string) (state, error) {
	var s state
	if _, err := fmt.Fprintln(c.In, what); err != nil {
		return s, fmt.Errorf("%s: %w", what, err)
	}
	if err := c.answers.Decode(&s); err != nil {
		return s, fmt.Errorf("%s: %w", what, err)
	}
	if s.Error != "" {
		return s, fmt.Errorf("%s: %s", what, s.Error)
	}
	return s, nil
}

func (c *collectorProcess) stop() error {
	_, err := c.Stop()
	return err
}

// awaitSpans waits until the sink has had so many spans, or gets no more.
func (c *collectorProcess) awaitSpans(want uint64) (state, error) {
	var last uint64
	for still := 0; still < 5; still++ {
		s, err := c.ask(askState)
		if err != nil || s.Spans >= want {
			return s, err
		}
		if s.Spans != last {
			last, still = s.Spans, 0
		}
		time.Sleep(100 * time.Millisecond)
	}
	return c.ask(askState)
}

// memory is what a process and its BPF maps take, in bytes.
type memory struct {
	RSS  uint64 `json:"rss"`
	Anon uint64 `json:"rss_anonymous"` // without files and the mapped ring and series
	Maps uint64 `json:"bpf_maps"`
}

func memoryOf(process int) (memory, error) {
	var m memory
	pid := strconv.Itoa(process)
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return m, err
	}
	for l := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(l, ":")
		kib, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch key {
		case "VmRSS":
			m.RSS = kib << 10
		case "RssAnon":
			m.Anon = kib << 10
		}
	}
	fds, err := os.ReadDir("/proc/" + pid + "/fdinfo")
	if err != nil {
		return m, err
	}
	counted := map[string]bool{}
	for _, fd := range fds {
		info := map[string]string{}
		for l := range strings.Lines(line("/proc/" + pid + "/fdinfo/" + fd.Name())) {
			key, value, _ := strings.Cut(l, ":")
			info[key] = strings.TrimSpace(value)
		}
		if id := info["map_id"]; id != "" && !counted[id] {
			counted[id] = true
			bytes, _ := strconv.ParseUint(info["memlock"], 10, 64)
			m.Maps += bytes
		}
	}
	return m, nil
}
