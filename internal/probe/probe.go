// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sampling"
)

// Probe is the attached BPF programs and their maps. Its methods are safe for concurrent
// use, except Read, which one goroutine may call at a time.
type Probe struct {
	options    Options
	hook       hook
	loader     *loader // until Complete
	collection *ebpf.Collection
	ioUring    programs   // none where io_uring has no getsockopt
	contexts   programs   // none if nothing that programs publish is used
	lister     *link.Iter // of processes, likewise nil
	events     *ring
	sleeper    sleeper
	ringUses   *ringUses
	// publishedContexts are process contexts, noticed wakes for notices; nil if they are not used.
	publishedContexts, noticed *ring
	clocks                     clocks

	control  sync.WaitGroup
	wakeups  *ring // of the control loop
	stopLoop chan struct{}
	stopOnce sync.Once

	mu       sync.Mutex
	attached []io.Closer
	// removesPublishers: what processes have in the maps is removed as they exit.
	removesPublishers bool
	// observesContexts: the prctl(2) of publishers is observed.
	observesContexts bool
	degraded         []error
	uncovered        []record.Entry

	closed     bool
	places     *places
	tables     *sharedTables
	recounted  time.Duration // since the tables were counted
	retried    time.Duration // since processes were made to look for awaited contexts
	controller *sampling.Controller
	seen       uint64        // calls at the last adjustment
	quiet      time.Duration // since then, without any calls
	woken      bool          // the control loop was woken since then

	contextsVersion, namesVersion uint32
	noticedPIDs                   []uint32 // of Notices, with the next: too large to allocate each time
	noticedKeys                   []bpf.GetsockoptProcessKey
	obi                           ebpf.MapID // of OBI's map that is in use; 0 for none
}

// Start is Open and Complete.
func Start(ctx context.Context, o Options) (*Probe, error) {
	p, err := Open(ctx, o)
	if err != nil {
		return nil, err
	}
	p.Complete()
	return p, nil
}

// Open loads and attaches the cheapest hook that works on this host, or the one that
// o.Hook names. It uses a hook only after its self-test has passed. An error names the
// option that is not valid, or the missing capability or kernel feature, or every hook
// that was tried with its reason. ctx ends the start between two hooks; it has no effect
// on a probe that was opened. The caller must call Close, and may read meanwhile before it
// calls Complete.
func Open(ctx context.Context, o Options) (*Probe, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	tries, err := candidates(o.Hook)
	if err != nil {
		return nil, err
	}
	// Each check relies on those before it.
	for _, check := range []func() error{checkCapabilities, checkDescriptors, checkProc, checkBTF, checkBPF, checkLockdown} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	l, err := newLoader(&o)
	if err != nil {
		return nil, err
	}
	var rejected []error
	for _, h := range tries {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("start the probe: %w", err)
		}
		p, err := start(h, l)
		if err == nil {
			p.log(rejected)
			return p, nil
		}
		if limit := explainDescriptorLimit(err); limit != nil { // no other hook needs fewer
			return nil, limit
		}
		rejected = append(rejected, fmt.Errorf("%s: %w", h, err))
	}
	if err := seccompError(bpfCommands...); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("no hook works on this host (kernel %s): %w", kernelRelease(), errors.Join(rejected...))
}

func start(h hook, l *loader) (_ *Probe, err error) {
	if h.possible != nil {
		if err := h.possible(); err != nil {
			return nil, err
		}
	}
	o := l.options
	p := &Probe{
		options: *o, hook: h, loader: l, stopLoop: make(chan struct{}),
		controller: sampling.NewController(o.SpansPerSecond),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if p.collection, err = l.load(h); err != nil {
		return nil, err
	}
	if p.events, err = openRing(p.collection.Maps[bpf.GetsockoptMapEvents]); err != nil {
		return nil, err
	}
	if p.wakeups, err = openRing(p.collection.Maps[bpf.GetsockoptMapControlWakeups]); err != nil {
		return nil, err
	}
	if p.ringUses, err = openRingUses(p.collection.Maps); err != nil {
		return nil, err
	}
	if err := p.openContextRings(); err != nil {
		return nil, err
	}
	if p.places, err = openPlaces(o, p.collection, &p.clocks, p.controller.Start()); err != nil {
		return nil, err
	}
	p.sleeper.sleeps = &p.places.shares.ReaderSleeps
	p.tables = openSharedTables(p.collection.Maps, p.places.uses)
	// The library tests once whether the kernel can run a program on request, which needs
	// capabilities that the process may not have later.
	if err := p.places.check(make([]bpf.GetsockoptProcessCheck, 1)); err != nil {
		return nil, err
	}
	// The return first: an entry whose return is not observed would count as a call
	// without an end.
	for _, a := range []attachment{h.exit, h.enter} {
		closer, err := a.attach(p.collection.Programs[a.program], a.target)
		if err != nil {
			return nil, fmt.Errorf("attach: %w", err)
		}
		p.attached = append(p.attached, closer)
	}
	if err := p.runSelfTest(l.test); err != nil {
		return nil, err
	}
	if err := p.readClocks(); err != nil {
		return nil, err
	}
	if err := p.setAttached(true); err != nil {
		return nil, err
	}
	if h.name == HookTracepoint && compatPossible() {
		p.degrade(errors.New("calls of 32-bit programs are not observed: the kernel's syscalls tracepoints skip them; hook fentry, kprobe or raw_tracepoint observes them"),
			record.EntrySyscallCompat, record.EntrySocketcall)
	}
	p.startControlLoop()
	return p, nil
}

// Complete attaches the programs for io_uring, and those that notice what programs publish.
// The verifier takes longer for them than for the hook. What does not work is among the
// reasons of Degraded. Call it once, and not while Detach or Close runs.
func (p *Probe) Complete() {
	l := p.loader
	p.loader = nil
	if err := p.addIOUring(l); err != nil {
		p.degrade(fmt.Errorf("getsockopt requests of io_uring are not observed: %w", err), record.EntryIOUring)
	}
	if err := p.addContexts(l); err != nil {
		p.degrade(fmt.Errorf("some of what programs publish is not found, or late: %w", err))
	}
	// The object and the kernel's types take more memory than all that stays. Without a
	// collection now, the next one would wait until the heap is twice as large as with them.
	runtime.GC()
}

func (p *Probe) degrade(reason error, uncovered ...record.Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.degraded = append(p.degraded, reason)
	p.uncovered = append(p.uncovered, uncovered...)
}

// setAttached sets whether the programs can rely on entry and return being attached.
func (p *Probe) setAttached(both bool) error {
	if err := p.collection.Variables[bpf.GetsockoptVarBothAttached].Set(uint32(boolByte(both))); err != nil {
		return fmt.Errorf("set whether entry and return are attached: %w", err)
	}
	return nil
}

// selfTestAttempts is how many calls the self-test makes at most, a millisecond apart:
// other CPUs may still run the code from before the hook was attached.
const selfTestAttempts = 10

// runSelfTest makes getsockopt calls until both programs have observed one.
func (p *Probe) runSelfTest(test selfTest) error {
	var entered, returned bool
	for try := range selfTestAttempts {
		if try > 0 {
			time.Sleep(time.Millisecond)
		}
		var err error
		if entered, returned, err = p.callOnce(test); err != nil || entered && returned {
			return err
		}
	}
	return fmt.Errorf("self-test failed: attached, but the test calls were not observed (entry %t, return %t)", entered, returned)
}

func (p *Probe) callOnce(test selfTest) (entered, returned bool, err error) {
	// Descriptor -1 keeps the call from reaching any socket: EBADF.
	_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, ^uintptr(0),
		uintptr(uint32(test.level)), uintptr(uint32(test.option)), 0, 0, 0)
	seen := make(map[string]uint32, 2)
	for _, name := range []string{bpf.GetsockoptVarSelftestPid, bpf.GetsockoptVarSelftestReturned} {
		var value uint32
		if err := p.collection.Variables[name].Get(&value); err != nil {
			return false, false, fmt.Errorf("read the result of the self-test: %w", err)
		}
		seen[name] = value
	}
	return seen[bpf.GetsockoptVarSelftestPid] != 0, seen[bpf.GetsockoptVarSelftestReturned] != 0, nil
}

func (p *Probe) log(rejected []error) {
	fields := []zap.Field{zap.String("hook", p.hook.name)}
	if len(rejected) > 0 {
		reasons := make([]string, len(rejected))
		for i, err := range rejected {
			reasons[i] = err.Error()
		}
		fields = append(fields, zap.Strings("rejected_hooks", reasons))
	}
	p.options.Logger.Info("Attached getsockopt probes", fields...)
}

// Hook returns the hook in use, one of the Hook constants but HookAuto.
func (p *Probe) Hook() string { return p.hook.name }

// Degraded returns the reasons for which calls are not observed on this host with this
// hook. It does not change after Complete.
func (p *Probe) Degraded() []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.degraded)
}

// Uncovered returns the entry points whose calls are not observed on this host with this
// hook. It does not change after Complete.
func (p *Probe) Uncovered() []record.Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.uncovered)
}

// Detach detaches the programs, and ends the control loop. The ring buffer and the maps
// can be read until Close. It may be called again.
func (p *Probe) Detach() error {
	p.stopControlLoop()
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	if len(p.attached) > 0 {
		if err := p.setAttached(false); err != nil {
			errs = append(errs, err)
		}
	}
	// The entry first: no call may begin whose return is not observed.
	for i := len(p.attached) - 1; i >= 0; i-- {
		if err := p.attached[i].Close(); err != nil {
			errs = append(errs, fmt.Errorf("detach hook %s: %w", p.hook.name, err))
		}
	}
	p.attached = nil
	return errors.Join(errs...)
}

// Close detaches and frees every kernel object. It may be called again, and while Read
// waits.
func (p *Probe) Close() error {
	errs := []error{p.Detach()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errs[0]
	}
	p.closed = true
	p.sleeper.close()
	for _, r := range []*ring{p.events, p.wakeups, p.publishedContexts, p.noticed} {
		if r == nil {
			continue
		}
		if err := r.close(); err != nil {
			errs = append(errs, fmt.Errorf("close a ring buffer: %w", err))
		}
	}
	if p.ringUses != nil {
		if err := p.ringUses.close(); err != nil {
			errs = append(errs, err)
		}
	}
	if p.lister != nil {
		if err := p.lister.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the iterator over processes: %w", err))
		}
	}
	errs = append(errs, p.ioUring.close(), p.contexts.close())
	if p.collection != nil {
		p.collection.Close()
	}
	if p.places != nil {
		if err := p.places.close(); err != nil {
			errs = append(errs, err)
		}
	}
	// The mapped variables hold their maps in the kernel until the memory is unmapped,
	// which the library leaves to the garbage collector.
	p.places, p.tables, p.collection, p.ioUring, p.contexts, p.lister = nil, nil, nil, nil, nil, nil
	runtime.GC()
	return errors.Join(errs...)
}

func kernelRelease() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}
