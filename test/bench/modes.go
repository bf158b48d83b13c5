// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/traces"
	"github.com/getsockopt/getsockoptreceiver/test/bench/empty"
)

// mode is what looks on while the load makes its calls.
type mode struct {
	name   string
	hook   string // whose empty pair it compares with; none for peers
	batch  int    // calls
	series int    // that it must have counted in, at least
	all    bool   // it makes a span of every call
	start  func(ctx context.Context, w *worker) (watcher, error)
}

// watcher is a mode at work.
type watcher interface {
	// settle waits until it sees calls.
	settle(w *worker) error
	// rest waits until it has processed the calls that it saw: work at the same
	// time as the load slows the load down, when both share a core.
	rest() error
	// stop ends it and returns what it saw.
	stop() (saw, error)
}

// saw is what a mode saw of the getsockopt calls.
type saw struct {
	calls  uint64
	lost   uint64 // of the calls, by the mode's own account
	spans  uint64 // of the load
	series int    // in which they were counted
}

const (
	batchCalls     = 1000
	batchSlowCalls = 100 // of what takes tens of microseconds
)

// callEvery is the time from one call to the next, over batches: 100,000 a second, a third of
// what a reader takes on a slow host. A reader that does not keep up loses records, and a
// lost record costs the caller less.
const callEvery = 10 * time.Microsecond

// Names of modes. Those that end in a comma are followed by a hook.
const (
	noProbe     = "no probe" // all others are compared with it
	emptyPair   = "empty pair, "
	clockPair   = "pair that reads the clock, " // the limit
	metricsOnly = "metrics only, "
	someSpans   = "1 % spans, "
	allSpans    = "all spans, "
)

var errNoHook = errors.New("no hook works on this host")

// hooksHere are the hooks that this host lets work, best first.
func hooksHere(ctx context.Context) []string {
	var names []string
	for _, hook := range []string{probe.HookFentry, probe.HookKprobe, probe.HookTracepoint, probe.HookRawTracepoint} {
		p, err := probe.Start(ctx, probe.Options{Hook: hook})
		if err != nil {
			fmt.Printf("hook %s is not measured: it does not work here\n", hook)
			continue
		}
		if err := p.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		names = append(names, hook)
	}
	return names
}

// modesFor lists the modes of the first part. Spans cost the same behind every
// hook, so they are measured behind the best one alone.
func modesFor(hooks []string) []mode {
	modes := []mode{{name: noProbe, batch: batchCalls, start: startNothing}}
	for i, hook := range hooks {
		if pair, found := emptyPairs[hook]; found {
			modes = append(modes,
				mode{name: emptyPair + hook, hook: hook, batch: batchCalls, start: pair.start},
				mode{name: clockPair + hook, hook: hook, batch: batchCalls, start: pair.readingClock().start})
		}
		modes = append(modes, probeMode(metricsOnly+hook, probe.Options{Hook: hook}))
		if i == 0 {
			modes = append(modes,
				probeMode(someSpans+hook, spanOptions(hook, 0.01)),
				probeMode(allSpans+hook, spanOptions(hook, 1)))
		}
	}
	return append(modes, peerModes()...)
}

func spanOptions(hook string, ratio float64) probe.Options {
	return probe.Options{
		Hook: hook, Spans: true, ValuesEnabled: true, ValueMaxLength: 512,
		SamplingRatio: ratio, KeepFailed: true,
	}
}

type nothing struct{}

func startNothing(context.Context, *worker) (watcher, error) { return nothing{}, nil }

func (nothing) settle(*worker) error { return nil }
func (nothing) rest() error          { return nil }
func (nothing) stop() (saw, error)   { return saw{}, nil }

// pair is two programs that do nothing.
type pair struct {
	enter, exit string
	attach      func(enter, exit *ebpf.Program) ([]io.Closer, error)
}

// readingClock returns the pair at the same hook that reads the clock and does nothing else.
func (p pair) readingClock() pair {
	p.enter += "_clock"
	p.exit += "_clock"
	return p
}

// hookIOUring is the key of the empty pair on the tracepoints of io_uring. It is no hook.
const hookIOUring = "io_uring"

var emptyPairs = map[string]pair{
	hookIOUring:             {empty.EmptyProgIoUringSubmit, empty.EmptyProgIoUringComplete, attachTracing},
	probe.HookFentry:        {empty.EmptyProgFentryGetsockopt, empty.EmptyProgFexitGetsockopt, attachTracing},
	probe.HookRawTracepoint: {empty.EmptyProgRawEnter, empty.EmptyProgRawExit, attachTracing},
	probe.HookKprobe: {empty.EmptyProgKprobeEnter, empty.EmptyProgKprobeExit, func(enter, exit *ebpf.Program) ([]io.Closer, error) {
		const function = "__sys_getsockopt"
		a, err := link.Kprobe(function, enter, nil)
		if err != nil {
			return nil, err
		}
		b, err := link.Kretprobe(function, exit, nil)
		if err != nil {
			return []io.Closer{a}, err
		}
		return []io.Closer{a, b}, nil
	}},
	probe.HookTracepoint: {empty.EmptyProgTracepointEnter, empty.EmptyProgTracepointExit, func(enter, exit *ebpf.Program) ([]io.Closer, error) {
		a, err := link.Tracepoint("syscalls", "sys_enter_getsockopt", enter, nil)
		if err != nil {
			return nil, err
		}
		b, err := link.Tracepoint("syscalls", "sys_exit_getsockopt", exit, nil)
		if err != nil {
			return []io.Closer{a}, err
		}
		return []io.Closer{a, b}, nil
	}},
}

func attachTracing(enter, exit *ebpf.Program) ([]io.Closer, error) {
	a, err := link.AttachTracing(link.TracingOptions{Program: enter})
	if err != nil {
		return nil, err
	}
	b, err := link.AttachTracing(link.TracingOptions{Program: exit})
	if err != nil {
		return []io.Closer{a}, err
	}
	return []io.Closer{a, b}, nil
}

// attachedPair is an empty pair at work. Its programs count nothing, so that
// the kernel's own statistics must count their runs; those cost time, so
// they are on only while it settles.
type attachedPair struct {
	collection *ebpf.Collection
	links      []io.Closer
	enter      *ebpf.Program
	ran        bool
}

func (p pair) start(context.Context, *worker) (watcher, error) {
	spec, err := empty.LoadEmpty()
	if err != nil {
		return nil, err
	}
	for name := range spec.Programs {
		if name != p.enter && name != p.exit {
			delete(spec.Programs, name)
		}
	}
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, err
	}
	a := &attachedPair{collection: c, enter: c.Programs[p.enter]}
	if a.links, err = p.attach(c.Programs[p.enter], c.Programs[p.exit]); err != nil {
		_, stopped := a.stop()
		return nil, errors.Join(err, stopped)
	}
	return a, nil
}

func (a *attachedPair) settle(w *worker) error {
	statistics, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return fmt.Errorf("let the kernel count the runs of programs: %w", err)
	}
	before, err := a.enter.Stats()
	if err != nil {
		return errors.Join(err, statistics.Close())
	}
	if _, err := w.do(order{name: loadType, batches: 1, calls: batchCalls}); err != nil {
		return errors.Join(err, statistics.Close())
	}
	after, err := a.enter.Stats()
	if err != nil {
		return errors.Join(err, statistics.Close())
	}
	a.ran = after.RunCount-before.RunCount >= batchCalls
	if !a.ran {
		err = fmt.Errorf("the program ran %d times in %d calls", after.RunCount-before.RunCount, batchCalls)
	}
	return errors.Join(err, statistics.Close())
}

func (*attachedPair) rest() error { return nil }

func (a *attachedPair) stop() (s saw, err error) {
	for _, l := range a.links {
		err = errors.Join(err, l.Close())
	}
	a.collection.Close()
	if a.ran {
		s.calls = everyCall
	}
	return s, err
}

// everyCall is the result of a mode that cannot count calls, but whose programs run
// according to the kernel.
const everyCall = ^uint64(0)

// watchingProbe is the receiver's probe, and a reader that makes spans of what
// it sends and throws them away.
type watchingProbe struct {
	*probe.Probe
	load    uint32 // process
	reading chan readResult
	calls   uint64 // in the snapshots so far
}

// readResult is what a reader has read, or why it ended.
type readResult struct {
	spans uint64
	err   error
}

func probeMode(name string, o probe.Options) mode {
	all := o.Spans && o.SamplingRatio == 1
	return mode{name: name, hook: o.Hook, batch: batchCalls, all: all, start: func(ctx context.Context, load *worker) (watcher, error) {
		p, err := probe.Start(ctx, o)
		if err != nil {
			return nil, err
		}
		w := &watchingProbe{Probe: p, load: uint32(load.PID()), reading: make(chan readResult, 1)}
		if !o.Spans {
			w.reading <- readResult{}
			return w, nil
		}
		go func() { w.reading <- w.readAll() }()
		return w, nil
	}}
}

// settle lets the load's process become known.
func (p *watchingProbe) settle(w *worker) error {
	_, err := w.do(order{name: loadType, batches: 1, calls: batchCalls})
	return err
}

func (p *watchingProbe) rest() error {
	for range 500 {
		s, err := p.snapshot()
		if err != nil || s.RingBytes == 0 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errDisturbed // by other programs' calls, or the reader has ended, see stop
}

// snapshot takes one, and adds up the calls in it.
func (p *watchingProbe) snapshot() (record.Snapshot, error) {
	s, err := p.Snapshot()
	for i := range s.Series {
		p.calls += s.Series[i].Count()
	}
	return s, err
}

func (p *watchingProbe) stop() (saw, error) {
	err := p.Detach()
	rested := p.rest()
	s, failed := p.snapshot()
	err = errors.Join(err, failed, p.Close())
	read := <-p.reading
	if read.err == nil {
		err = errors.Join(err, rested)
	}
	result := saw{calls: p.calls, lost: s.Counters.RingFull, spans: read.spans, series: s.SeriesEntries}
	return result, errors.Join(err, read.err)
}

// readAll reads until the probe is closed.
func (p *watchingProbe) readAll() readResult {
	const limit = 1024
	h := discard{builder: traces.New(traces.Options{ValuesEnabled: true}), load: p.load}
	for {
		_, err := p.Read(time.Now().Add(200*time.Millisecond), limit, &h)
		if errors.Is(err, os.ErrClosed) {
			return readResult{h.spans, h.err}
		}
		if err != nil {
			return readResult{h.spans, err}
		}
		h.builder.Take()
	}
}

// discard makes spans of calls.
type discard struct {
	builder *traces.Builder
	load    uint32
	spans   uint64 // of the load
	err     error
}

func (d *discard) Call(c *record.Call) {
	d.builder.Add(c, nil)
	if c.Process.PID == d.load {
		d.spans++
	}
}
func (d *discard) Process(*record.Process) {}
func (d *discard) Malformed(err error)     { d.err = err }
