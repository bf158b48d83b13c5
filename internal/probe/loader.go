// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/getsockopt/getsockoptreceiver/bpf"
)

// loadsAtOnce bounds how many programs load at the same time. Each load holds the
// descriptors of its maps, some thirty, see descriptorsNeeded.
const loadsAtOnce = 4

// loader loads the programs of a start. It reads the object and the kernel's types once:
// that takes as long as the verifier takes for a program.
type loader struct {
	options *Options
	test    selfTest
	ioUring ioUring
	spec    *ebpf.CollectionSpec
	kernel  *btf.Cache
}

func newLoader(o *Options) (*loader, error) {
	spec, err := bpf.LoadGetsockopt()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", err)
	}
	l := &loader{options: o, test: newSelfTest(), spec: spec, kernel: btf.NewCache()}
	l.ioUring, err = findIOUring(l.kernel)
	return l, err
}

// load creates the maps and loads the programs of one hook. It attaches nothing.
func (l *loader) load(h hook) (*ebpf.Collection, error) {
	c, err := l.createMaps(h)
	if err != nil {
		return nil, err
	}
	c.Programs, err = l.programs(h.String(), []attachment{h.exit, h.enter, {program: bpf.GetsockoptProgCheckProcesses}}, c.Maps)
	if err == nil {
		err = fill(c, l.options)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (l *loader) createMaps(h hook) (*ebpf.Collection, error) {
	if err := configure(l.spec, l.options, l.test, l.ioUring.eventsOf(h), l.kernel); err != nil {
		return nil, err
	}
	spec := *l.spec
	spec.Programs = nil
	c, err := ebpf.NewCollectionWithOptions(&spec, ebpf.CollectionOptions{Cache: l.kernel})
	if err != nil {
		return nil, fmt.Errorf("create the maps: %w", explainLoadError(err))
	}
	return c, nil
}

// programs is loaded programs, by name.
type programs map[string]*ebpf.Program

func (p programs) close() error {
	var errs []error
	for name, program := range p {
		if err := program.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close program %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// programs loads programs that use the maps of a hook, several at the same time: nearly all
// of it is the verifier's work, one program a CPU. what is in the log if it rejects one.
func (l *loader) programs(what string, attachments []attachment, of map[string]*ebpf.Map) (programs, error) {
	loaded := make([]*ebpf.Program, len(attachments))
	errs := make([]error, len(attachments))
	turns := make(chan struct{}, min(runtime.GOMAXPROCS(0), loadsAtOnce))
	var loading sync.WaitGroup
	for i, a := range attachments {
		loading.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			loaded[i], errs[i] = l.program(a.program, of)
		})
	}
	loading.Wait()
	all := make(programs, len(attachments))
	for i, a := range attachments {
		if errs[i] == nil {
			all[a.program] = loaded[i]
		}
	}
	for _, err := range errs {
		if err != nil {
			logVerifierError(l.options.Logger, what, err)
			return nil, errors.Join(fmt.Errorf("load: %w", explainLoadError(err)), all.close())
		}
	}
	return all, nil
}

// program loads one program with the maps that it uses.
func (l *loader) program(name string, of map[string]*ebpf.Map) (*ebpf.Program, error) {
	spec := *l.spec
	spec.Programs = map[string]*ebpf.ProgramSpec{name: l.spec.Programs[name]}
	spec.Variables = nil
	spec.Maps = make(map[string]*ebpf.MapSpec)
	for i := range spec.Programs[name].Instructions {
		if ins := &spec.Programs[name].Instructions[i]; ins.IsLoadFromMap() {
			spec.Maps[ins.Reference()] = l.spec.Maps[ins.Reference()]
		}
	}
	used := maps.Clone(of)
	maps.DeleteFunc(used, func(name string, _ *ebpf.Map) bool { return spec.Maps[name] == nil })
	c, err := ebpf.NewCollectionWithOptions(&spec, ebpf.CollectionOptions{MapReplacements: used, Cache: l.kernel})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.DetachProgram(name), nil
}
