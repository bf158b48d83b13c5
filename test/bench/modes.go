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
	name  string
	hook  string // whose empty pair it compares with; none for peers
	batch int    // calls
	start func(ctx context.Context, w *worker) (watcher, error)
}

// watcher is a mode at work.
type watcher interface {
	// settle waits until it sees calls.
	settle(w *worker) error
	// rest waits until it has processed the calls that it saw: work at the same
	// time as the load slows the load down, when both share a core.
	rest() error
	// stop ends it and returns how many getsockopt calls it saw, and how many of
	// those it reports as lost.
	stop() (seen, lost uint64, err error)
}

const (
	batchCalls     = 1000
	batchSlowCalls = 100 // of what takes tens of microseconds
)

// noProbe is the mode that all others are compared with.
const noProbe = "no probe"

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
			modes = append(modes, mode{name: "empty pair, " + hook, hook: hook, batch: batchCalls, start: pair.start})
		}
		modes = append(modes, probeMode("metrics only, "+hook, probe.Options{Hook: hook}))
		if i == 0 {
			modes = append(modes,
				probeMode("1 % spans, "+hook, spanOptions(hook, 0.01)),
				probeMode("all spans, "+hook, spanOptions(hook, 1)))
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

func (nothing) settle(*worker) error                 { return nil }
func (nothing) rest() error                          { return nil }
func (nothing) stop() (seen, lost uint64, err error) { return 0, 0, nil }

// pair is two programs that do nothing.
type pair struct {
	enter, exit string
	attach      func(enter, exit *ebpf.Program) ([]io.Closer, error)
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
		_, _, stopped := a.stop()
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

func (a *attachedPair) stop() (seen, lost uint64, err error) {
	for _, l := range a.links {
		err = errors.Join(err, l.Close())
	}
	a.collection.Close()
	if a.ran {
		seen = everyCall
	}
	return seen, 0, err
}

// everyCall is the result of a mode that cannot count calls, but whose programs run
// according to the kernel.
const everyCall = ^uint64(0)

// watchingProbe is the receiver's probe, and a reader that makes spans of what
// it sends and throws them away.
type watchingProbe struct {
	*probe.Probe
	reading chan error
}

func probeMode(name string, o probe.Options) mode {
	return mode{name: name, hook: o.Hook, batch: batchCalls, start: func(ctx context.Context, _ *worker) (watcher, error) {
		p, err := probe.Start(ctx, o)
		if err != nil {
			return nil, err
		}
		w := &watchingProbe{Probe: p, reading: make(chan error, 1)}
		if !o.Spans {
			w.reading <- nil
			return w, nil
		}
		go func() { w.reading <- readAll(p) }()
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
		s, err := p.Snapshot()
		if err != nil || s.RingBytes == 0 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errDisturbed // by other programs' calls, or the reader has ended: stop returns why
}

func (p *watchingProbe) stop() (seen, lost uint64, err error) {
	err = p.Detach()
	s, failed := p.Snapshot()
	err = errors.Join(err, failed, p.Close(), <-p.reading)
	for i := range s.Series {
		seen += s.Series[i].Count()
	}
	return seen, s.Counters.RingFull, err
}

// readAll reads until the probe is closed.
func readAll(p *probe.Probe) error {
	const limit = 1024
	h := discard{builder: traces.New(traces.Options{ValuesEnabled: true})}
	for {
		_, err := p.Read(time.Now().Add(200*time.Millisecond), limit, &h)
		if errors.Is(err, os.ErrClosed) {
			return h.err
		}
		if err != nil {
			return err
		}
		h.builder.Take()
	}
}

// discard makes spans of calls.
type discard struct {
	builder *traces.Builder
	err     error
}

func (d *discard) Call(c *record.Call)     { d.builder.Add(c, nil) }
func (d *discard) Process(*record.Process) {}
func (d *discard) Malformed(err error)     { d.err = err }
