// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// The load of this part, and how it is measured.
const (
	operatorCalls  = 100_000 // a second
	operatorSeries = 2000
	operatorRounds = 3
	operatorWarmUp = 12 * time.Second // a collection, and the heap has grown
	idleFor        = 10 * time.Second
	// idleAfter is for what the start leaves to do: who publishes is looked for again ten
	// seconds later in processes that are as young.
	idleAfter   = 15 * time.Second
	readyWithin = time.Minute
)

// sampledTo makes the configuration for production sample to so many spans a second, 0 for no
// limit, and collect as often as by default. The load is one owner, which may hold eight
// ninths of the series.
func sampledTo(perSecond int) []string {
	return []string{
		"receivers::getsockopt::collection_interval: 10s",
		"receivers::getsockopt::cardinality_limit: 2500",
		"receivers::getsockopt::spans::sampling_ratio: 1",
		fmt.Sprintf("receivers::getsockopt::spans::max_per_second: %d", perSecond),
	}
}

// withoutReceiver replaces the receiver by one that nobody sends to.
var withoutReceiver = []string{
	"receivers::otlp::protocols::http::endpoint: localhost:0",
	"service::pipelines::traces::receivers: [otlp]",
	"service::pipelines::metrics::receivers: [otlp]",
}

// operatorMode is a configuration of the built Collector.
type operatorMode struct {
	name     string
	settings []string
}

// Names of these modes.
const (
	operatorWithout = "without the receiver"
	operatorFew     = "100 spans/s"
	operatorMany    = "1,000 spans/s"
)

var operatorModes = []operatorMode{
	{operatorWithout, withoutReceiver},
	{operatorFew, sampledTo(100)},
	{operatorMany, sampledTo(1000)},
}

// operatorCost is what an operator pays for a Collector.
type operatorCost struct {
	Name           string             `json:"name"`
	CallsPerSecond summary            `json:"calls_per_second"`
	SpansPerSecond summary            `json:"spans_per_second"`
	IdleCPU        summary            `json:"idle_cpu_percent"` // of a core
	CPU            summary            `json:"cpu_percent"`      // of a core, under load
	RSS            summary            `json:"rss"`              // bytes
	Maps           summary            `json:"bpf_maps"`         // bytes
	Spans          traffic            `json:"spans"`            // of all rounds
	Points         traffic            `json:"points"`           // of metrics
	Day            map[string]float64 `json:"bytes_a_day"`
}

// operatorResult is the part's result.
type operatorResult struct {
	Modes []operatorCost `json:"modes"`
	// From the start of the process: to the first span in the sink, and until it is ready
	// without the receiver.
	FirstSpan summary `json:"first_span_ms"`
	Ready     summary `json:"ready_without_receiver_ms"`
}

// operatorSample is one turn of a mode.
type operatorSample struct {
	calls, spans, idle, cpu float64
	memory                  memory
	traces, metrics         traffic
	took                    time.Duration
}

// measureOperator runs the built Collector with the configuration for production, beside the
// same Collector without the receiver.
func measureOperator(ctx context.Context, s settings, c cpus, r *report) (err error) {
	// An operator's Collector runs on all CPUs.
	if err := pinProcess(c.all()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pinProcess(c.rest)) }()
	samples := map[string][]operatorSample{}
	for round := range operatorRounds {
		for i := range operatorModes {
			m := &operatorModes[(i+round)%len(operatorModes)]
			sample, err := m.turn(ctx, s, c)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			samples[m.name] = append(samples[m.name], sample)
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, operatorRounds)
	}
	result := &operatorResult{}
	for _, m := range operatorModes {
		result.Modes = append(result.Modes, costOf(m.name, samples[m.name]))
	}
	var ready, first []float64
	for range lifeRounds {
		without, err := operatorModes[0].readyAfter(ctx)
		if err != nil {
			return fmt.Errorf("start without the receiver: %w", err)
		}
		with, err := firstSpanAfter(ctx, c)
		if err != nil {
			return fmt.Errorf("start to first span: %w", err)
		}
		ready = append(ready, milliseconds(without))
		first = append(first, milliseconds(with))
	}
	result.Ready, result.FirstSpan = summarize(ready), summarize(first)
	r.Operator = result
	result.print(os.Stdout)
	return nil
}

// running is a Collector, and the sink that it sends to.
type running struct {
	*harness.Process
	sink  *sinkProcess
	begun time.Time
}

func (m *operatorMode) start(ctx context.Context, more ...string) (*running, error) {
	binary, err := harness.Collector()
	if err != nil {
		return nil, err
	}
	arguments := []string{"--config", harness.File("config/production.yaml")}
	for _, s := range append(m.settings[:len(m.settings):len(m.settings)], more...) {
		arguments = append(arguments, "--config", "yaml:"+s)
	}
	health, err := harness.FreeAddress()
	if err != nil {
		return nil, err
	}
	own, err := harness.FreeAddress()
	if err != nil {
		return nil, err
	}
	sink, err := startSink(ctx)
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, binary, arguments...)
	c.Env = append(os.Environ(), "OTLP_ENDPOINT="+sink.first.Endpoint, "HEALTH_ENDPOINT="+health,
		"METRICS_PORT="+own[strings.LastIndexByte(own, ':')+1:])
	r := &running{sink: sink, begun: time.Now()}
	if r.Process, err = harness.Start(c); err != nil {
		return nil, errors.Join(err, sink.stop())
	}
	return r, nil
}

func (r *running) stop() error {
	return errors.Join(r.Stop(syscall.SIGTERM, readyWithin), r.sink.stop())
}

func (m *operatorMode) turn(ctx context.Context, s settings, c cpus) (sample operatorSample, err error) {
	w, err := startWorker(ctx, c.load, "load")
	if err != nil {
		return sample, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	r, err := m.start(ctx)
	if err != nil {
		return sample, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	if err := r.AwaitReady(readyWithin, 1); err != nil {
		return sample, err
	}
	time.Sleep(idleAfter)
	if sample.idle, err = r.cpuWhile(func() error { time.Sleep(idleFor); return nil }); err != nil {
		return sample, err
	}
	o := order{name: loadSpread, series: operatorSeries}
	if err := w.paced(o, operatorCalls, operatorWarmUp); err != nil {
		return sample, err
	}
	before, err := r.sink.state()
	if err != nil {
		return sample, err
	}
	made, begin := w.calls, time.Now()
	if sample.cpu, err = r.cpuWhile(func() error { return w.paced(o, operatorCalls, s.steady) }); err != nil {
		return sample, err
	}
	sample.took = time.Since(begin)
	after, err := r.sink.state()
	if err != nil {
		return sample, err
	}
	sample.traces, sample.metrics = after.Traces.since(before.Traces), after.Metrics.since(before.Metrics)
	sample.calls = float64(w.calls-made) / sample.took.Seconds()
	sample.spans = float64(sample.traces.Items) / sample.took.Seconds()
	sample.memory, err = memoryOf(r.PID())
	return sample, err
}

// cpuWhile returns the CPU time of the Collector during something, in percent of a core.
func (r *running) cpuWhile(something func() error) (float64, error) {
	before, err := cpuOf(r.PID())
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := something(); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	after, err := cpuOf(r.PID())
	return 100 * float64(after-before) / float64(took), err
}

// cpuOf returns the CPU time of a process, to the nanosecond: /proc has ticks of 10 ms, which
// is more than an idle process takes in ten seconds.
func cpuOf(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED of include/linux/posix-timers_types.h
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// readyAfter returns how long the Collector takes to be ready.
func (m *operatorMode) readyAfter(ctx context.Context) (took time.Duration, err error) {
	r, err := m.start(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	err = r.AwaitReady(readyWithin, 1)
	return time.Since(r.begun), err
}

// firstSpanAfter returns how long it takes from the start of the Collector until the sink has
// a span, while calls are made all the time. The exporter does not wait for more.
func firstSpanAfter(ctx context.Context, c cpus) (took time.Duration, err error) {
	w, err := startWorker(ctx, c.load, "load")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	all := operatorMode{settings: sampledTo(0)}
	r, err := all.start(ctx, "exporters::otlp_http::sending_queue::batch::flush_timeout: 1ms")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	for !r.Ended() && time.Since(r.begun) < readyWithin {
		if err := w.paced(order{name: loadType}, 1000, 20*time.Millisecond); err != nil {
			return 0, err
		}
		state, err := r.sink.state()
		if err != nil {
			return 0, err
		}
		if !state.FirstSpan.IsZero() {
			// Spans come before the Collector can be stopped.
			return state.FirstSpan.Sub(r.begun), r.AwaitReady(readyWithin, 1)
		}
	}
	return 0, fmt.Errorf("no span came:\n%s", r.Output())
}

func costOf(name string, samples []operatorSample) operatorCost {
	all := func(value func(s *operatorSample) float64) summary {
		var values []float64
		for i := range samples {
			values = append(values, value(&samples[i]))
		}
		return summarize(values)
	}
	cost := operatorCost{
		Name:           name,
		CallsPerSecond: all(func(s *operatorSample) float64 { return s.calls }),
		SpansPerSecond: all(func(s *operatorSample) float64 { return s.spans }),
		IdleCPU:        all(func(s *operatorSample) float64 { return s.idle }),
		CPU:            all(func(s *operatorSample) float64 { return s.cpu }),
		RSS:            all(func(s *operatorSample) float64 { return float64(s.memory.RSS) }),
		Maps:           all(func(s *operatorSample) float64 { return float64(s.memory.Maps) }),
	}
	var took time.Duration
	for i := range samples {
		cost.Spans.add(samples[i].traces)
		cost.Points.add(samples[i].metrics)
		took += samples[i].took
	}
	perDay := float64(24*time.Hour) / float64(took)
	cost.Day = map[string]float64{
		"spans":               float64(cost.Spans.Plain) * perDay,
		"spans, compressed":   float64(cost.Spans.Compressed) * perDay,
		"metrics":             float64(cost.Points.Plain) * perDay,
		"metrics, compressed": float64(cost.Points.Compressed) * perDay,
	}
	return cost
}

func (r *operatorResult) print(to io.Writer) {
	const mib = 1 << 20
	fmt.Fprintf(to, "\nthe built Collector at %d calls/s in %d series, medians of %d\n", operatorCalls, operatorSeries, operatorRounds)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tcalls/s\tspans/s\tCPU %\tmin\tmax\tidle CPU %\tmin\tmax\tRSS MiB\tBPF maps MiB\t")
	for _, m := range r.Modes {
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.3f\t%.3f\t%.3f\t%.1f\t%.1f\t\n", m.Name,
			m.CallsPerSecond.Median, m.SpansPerSecond.Median, m.CPU.Median, m.CPU.Min, m.CPU.Max,
			m.IdleCPU.Median, m.IdleCPU.Min, m.IdleCPU.Max, m.RSS.Median/mib, m.Maps.Median/mib)
	}
	_ = table.Flush()
	fmt.Fprintln(to, "\nbytes sent, plain and with gzip")
	fmt.Fprintln(table, "\ta span\tgzip\tMiB of spans a day\tgzip\ta point\tgzip\tMiB of metrics a day\tgzip\t")
	for _, m := range r.Modes {
		if m.Spans.Items == 0 || m.Points.Items == 0 {
			continue
		}
		spans, points := float64(m.Spans.Items), float64(m.Points.Items)
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", m.Name,
			float64(m.Spans.Plain)/spans, float64(m.Spans.Compressed)/spans, m.Day["spans"]/mib, m.Day["spans, compressed"]/mib,
			float64(m.Points.Plain)/points, float64(m.Points.Compressed)/points, m.Day["metrics"]/mib, m.Day["metrics, compressed"]/mib)
	}
	_ = table.Flush()
	fmt.Fprintf(to, "from the start of the process: first span in the sink after %.0f ms (max %.0f); ready without the receiver after %.0f ms (max %.0f)\n",
		r.FirstSpan.Median, r.FirstSpan.Max, r.Ready.Median, r.Ready.Max)
}
