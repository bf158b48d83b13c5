// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sampling"
)

// Probe is the running kernel side. Its methods may be called from several
// goroutines, except Read, which is for one.
type Probe struct {
	options    Options
	hook       string
	collection *ebpf.Collection
	ioUring    *ebpf.Collection // nil where io_uring has no getsockopt
	degraded   []error
	uncovered  []record.Entry
	reader     *ringbuf.Reader
	series     *ebpf.Memory
	clocks     clocks

	controller *sampling.Controller
	control    sync.WaitGroup
	stopLoop   chan struct{}

	mu       sync.Mutex
	attached []io.Closer
	closed   bool
	// What is known of the groups in the kernel's table.
	groups    map[uint32]record.Group
	groupKeys map[uint32]bpf.GetsockoptGroupKey
	retired   *retirement
}

// Start loads and attaches the best hook that works here, or the one that
// o.Hook names. A hook is taken only after a call of the probe's own came
// through it. The error names the missing capability or kernel feature, and
// every hook that was tried with its own reason.
func Start(ctx context.Context, o Options) (*Probe, error) {
	o.setDefaults()
	tries, err := candidates(o.Hook)
	if err != nil {
		return nil, err
	}
	// Each relies on those before it.
	for _, check := range []func() error{checkCapabilities, checkDescriptors, checkProc, checkBTF, checkBPF, checkLockdown} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	var refused []error
	for _, h := range tries {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("start the probe: %w", err)
		}
		p, err := start(h, &o)
		if err == nil {
			p.log(refused)
			return p, nil
		}
		if short := outOfDescriptors(err); short != nil { // no other hook would do with fewer
			return nil, short
		}
		refused = append(refused, fmt.Errorf("%s: %w", h, err))
	}
	if err := filtered(bpfCommands...); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("no hook works on this host (kernel %s): %w", kernelRelease(), errors.Join(refused...))
}

func start(h hook, o *Options) (_ *Probe, err error) {
	if h.possible != nil {
		if err := h.possible(); err != nil {
			return nil, err
		}
	}
	proof := newSelfTest()
	p := &Probe{
		options: *o, hook: h.name,
		groups: make(map[uint32]record.Group), groupKeys: make(map[uint32]bpf.GetsockoptGroupKey),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	u, err := findIOUring()
	if err != nil {
		return nil, err
	}
	if p.collection, err = load(h, o, proof, u); err != nil {
		return nil, err
	}
	p.retired = newRetirement(o, p.collection.Programs[bpf.GetsockoptProgGroupRuns])
	if o.GroupBy == GroupByProcess {
		// The library tests once whether the kernel runs programs on request, which
		// needs capabilities that the process may not have later.
		if _, err := p.retired.running(&bpf.GetsockoptGroupKey{}); err != nil {
			return nil, err
		}
	}
	if p.reader, err = ringbuf.NewReader(p.collection.Maps[bpf.GetsockoptMapEvents]); err != nil {
		return nil, fmt.Errorf("open the ring: %w", err)
	}
	if p.series, err = p.collection.Maps[bpf.GetsockoptMapSeries].Memory(); err != nil {
		return nil, fmt.Errorf("map the series: %w", err)
	}
	if err := p.startSampling(); err != nil {
		return nil, err
	}
	// The return side first: an entry that finds nobody at its return would
	// count as a call without end.
	for _, s := range []side{h.exit, h.enter} {
		closer, err := s.attach(p.collection.Programs[s.program], s.target)
		if err != nil {
			return nil, fmt.Errorf("attach: %w", err)
		}
		p.attached = append(p.attached, closer)
	}
	if err := p.prove(proof); err != nil {
		return nil, err
	}
	if err := p.readClocks(); err != nil {
		return nil, err
	}
	if err := p.setAttached(true); err != nil {
		return nil, err
	}
	if o.Spans {
		p.steer()
	}
	if err := p.addIOUring(h, o, proof, u); err != nil {
		p.degraded = append(p.degraded, fmt.Errorf("the getsockopt requests of io_uring are not seen: %w", err))
		p.uncovered = append(p.uncovered, record.EntryIOUring)
	}
	if h.name == HookTracepoint && compatPossible() {
		p.degraded = append(p.degraded, errors.New("hook tracepoint does not see the calls of 32-bit programs: the kernel's syscalls tracepoints skip them; hook fentry, kprobe or raw_tracepoint does"))
		p.uncovered = append(p.uncovered, record.EntrySyscallCompat, record.EntrySocketcall)
	}
	return p, nil
}

// setAttached tells the programs whether both sides of a call are seen.
func (p *Probe) setAttached(both bool) error {
	if err := p.collection.Variables[bpf.GetsockoptVarBothAttached].Set(uint32(boolByte(both))); err != nil {
		return fmt.Errorf("set whether both sides are attached: %w", err)
	}
	return nil
}

// proofs is how often a hook is asked to prove itself, a millisecond apart:
// other CPUs may still run the code from before it was attached.
const proofs = 10

// prove makes calls until both programs saw one.
func (p *Probe) prove(proof proof) error {
	var entered, returned bool
	for try := range proofs {
		if try > 0 {
			time.Sleep(time.Millisecond)
		}
		var err error
		if entered, returned, err = p.selfTestOnce(proof); err != nil || entered && returned {
			return err
		}
	}
	return fmt.Errorf("attached, but getsockopt calls made to prove it did not come through: entry seen %t, return seen %t", entered, returned)
}

func (p *Probe) selfTestOnce(proof proof) (entered, returned bool, err error) {
	// Descriptor -1 keeps the call from reaching any socket: EBADF.
	_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, ^uintptr(0),
		uintptr(uint32(proof.level)), uintptr(uint32(proof.option)), 0, 0, 0)
	seen := make(map[string]uint32, 2)
	for _, name := range []string{bpf.GetsockoptVarSelftestPid, bpf.GetsockoptVarSelftestReturned} {
		var value uint32
		if err := p.collection.Variables[name].Get(&value); err != nil {
			return false, false, fmt.Errorf("read back the proof call: %w", err)
		}
		seen[name] = value
	}
	return seen[bpf.GetsockoptVarSelftestPid] != 0, seen[bpf.GetsockoptVarSelftestReturned] != 0, nil
}

func (p *Probe) log(refused []error) {
	fields := []zap.Field{zap.String("hook", p.hook)}
	if len(refused) > 0 {
		reasons := make([]string, len(refused))
		for i, err := range refused {
			reasons[i] = err.Error()
		}
		fields = append(fields, zap.Strings("refused", reasons))
	}
	p.options.Logger.Info("getsockopt calls are seen through hook "+p.hook, fields...)
}

// Hook names the hook in use.
func (p *Probe) Hook() string { return p.hook }

// Degraded returns what this host or hook hides from the receiver.
func (p *Probe) Degraded() []error { return p.degraded }

// Uncovered returns the entryPoints that calls may come through uncovered on this host and
// with this hook.
func (p *Probe) Uncovered() []record.Entry { return p.uncovered }

// Detach stops the programs. What is in the ring and in the maps stays
// readable until Close. It may be called again.
func (p *Probe) Detach() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopControl()
	var errs []error
	if len(p.attached) > 0 {
		if err := p.setAttached(false); err != nil {
			errs = append(errs, err)
		}
	}
	// The entry side first: no call may begin that could not end.
	for i := len(p.attached) - 1; i >= 0; i-- {
		if err := p.attached[i].Close(); err != nil {
			errs = append(errs, fmt.Errorf("detach hook %s: %w", p.hook, err))
		}
	}
	p.attached = nil
	return errors.Join(errs...)
}

// Close detaches and frees every kernel object. It may be called again.
func (p *Probe) Close() error {
	errs := []error{p.Detach()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errs[0]
	}
	p.closed = true
	if p.reader != nil {
		if err := p.reader.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the ring: %w", err))
		}
	}
	if p.ioUring != nil {
		p.ioUring.Close()
	}
	if p.collection != nil {
		p.collection.Close()
	}
	// The mapped series and variables hold their maps in the kernel until the
	// memory is unmapped, which the library leaves to the garbage collector.
	p.series, p.collection, p.ioUring = nil, nil, nil
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
