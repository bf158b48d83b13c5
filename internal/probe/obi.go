// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"

	"github.com/getsockopt/getsockoptreceiver/bpf"
)

// FindOBI lets the BPF programs read the map of OpenTelemetry's eBPF instrumentation, if it
// exists by now, and not any more if it was removed. It never creates the map: the first of
// its writers does.
func (p *Probe) FindOBI() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	m, err := ebpf.LoadPinnedMap(p.options.OBIMap, &ebpf.LoadPinOptions{ReadOnly: true})
	if errors.Is(err, os.ErrNotExist) {
		return p.useOBI(nil, 0)
	}
	if err != nil {
		return fmt.Errorf("open %s (a user other than root needs CAP_DAC_READ_SEARCH): %w", p.options.OBIMap, err)
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		return fmt.Errorf("examine %s: %w", p.options.OBIMap, err)
	}
	if info.Type != ebpf.LRUHash || info.KeySize != 8 || info.ValueSize != 24 || info.Flags != 0 {
		return errors.Join(p.useOBI(nil, 0), fmt.Errorf("%s is not a map of OBI: %s with keys of %d and values of %d bytes and the flags %#x",
			p.options.OBIMap, info.Type, info.KeySize, info.ValueSize, info.Flags))
	}
	id, found := info.ID()
	if !found {
		return fmt.Errorf("examine %s: the kernel returns no id", p.options.OBIMap)
	}
	return p.useOBI(m, id)
}

// useOBI puts a map where the programs look for it, or takes it away. A kernel object keeps
// the map that is there.
func (p *Probe) useOBI(m *ebpf.Map, id ebpf.MapID) error {
	if p.obi == id {
		return nil
	}
	slot := p.collection.Maps[bpf.GetsockoptMapObiContexts]
	var err error
	if m != nil {
		err = slot.Put(uint32(0), m)
	} else {
		err = slot.Delete(uint32(0))
	}
	if err == nil {
		err = p.collection.Variables[bpf.GetsockoptVarObiPresent].Set(uint32(boolByte(m != nil)))
	}
	if err != nil {
		return fmt.Errorf("use %s: %w", p.options.OBIMap, err)
	}
	p.obi = id
	return p.changeContexts()
}
