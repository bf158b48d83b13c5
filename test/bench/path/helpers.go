// SPDX-License-Identifier: Apache-2.0

package path

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// failed is what a helper returns that could not read memory: -EFAULT.
const failed = ^uint64(14) + 1

// call is a call of a function of the program, of a helper, or of a kernel
// function.
func (m *Machine) call(c *code, ins *asm.Instruction, r *[11]uint64, frame int) (uint64, error) {
	arguments := [5]uint64(r[1:6])
	if ins.IsFunctionCall() {
		to, found := c.symbols[ins.Reference()]
		if !found {
			return 0, fmt.Errorf("no function %q", ins.Reference())
		}
		return m.execute(c, to, frame+1, arguments)
	}
	if ins.IsKfuncCall() {
		m.cost.Calls[ins.Reference()]++
		return m.kernelFunction(ins.Reference(), arguments)
	}
	return m.helper(asm.BuiltinFunc(ins.Constant), arguments)
}

// kernelFunction knows only functions that the verifier turns into nothing.
func (m *Machine) kernelFunction(name string, arguments [5]uint64) (uint64, error) {
	if name == "bpf_rdonly_cast" {
		return arguments[0], nil
	}
	return 0, fmt.Errorf("unknown kernel function %q", name)
}

func (m *Machine) helper(f asm.BuiltinFunc, a [5]uint64) (uint64, error) {
	name := strings.TrimPrefix(f.String(), "Fn")
	t := m.tableOf(f, a[0])
	if t != nil {
		name += " " + t.Name
	}
	m.cost.Calls[name]++
	switch f {
	case asm.FnMapLookupElem, asm.FnMapUpdateElem, asm.FnMapDeleteElem, asm.FnMapPushElem, asm.FnMapPopElem:
		return m.mapHelper(f, t, a)
	case asm.FnTaskStorageGet:
		const create = 1
		if m.storage == 0 && a[3]&create != 0 {
			m.storage = m.allocate(int(t.ValueSize))
		}
		return m.storage, nil
	case asm.FnProbeReadUser, asm.FnProbeReadKernel:
		m.cost.Reads = append(m.cost.Reads, Read{At: a[2], Size: int(uint32(a[1]))})
		return m.read(a[0], int(uint32(a[1])), a[2])
	case asm.FnProbeReadUserStr, asm.FnProbeReadKernelStr:
		return m.readString(a[0], int(uint32(a[1])), a[2])
	case asm.FnGetCurrentComm:
		return m.read(a[0], int(uint32(a[1])), 0)
	case asm.FnKtimeGetNs:
		m.now += m.CallTime
		return m.now, nil
	case asm.FnGetCurrentCgroupId:
		return 1, nil
	case asm.FnGetCurrentPidTgid:
		return uint64(m.PID)<<32 | uint64(m.PID), nil
	case asm.FnGetCurrentTask, asm.FnGetCurrentTaskBtf:
		return m.Task, nil
	case asm.FnGetPrandomU32:
		return 1 << 31, nil // half of all numbers are smaller
	case asm.FnRingbufReserve:
		return m.allocate(int(a[1])), nil
	case asm.FnRingbufSubmit:
		m.cost.Records = append(m.cost.Records, slices.Clone(m.memory[a[0]>>32]))
		return 0, nil
	case asm.FnGetSmpProcessorId, asm.FnRingbufOutput, asm.FnRingbufQuery:
		return 0, nil
	}
	return 0, fmt.Errorf("unknown helper %v", f)
}

// ofMaps are the helpers whose first argument is a map.
var ofMaps = []asm.BuiltinFunc{
	asm.FnMapLookupElem, asm.FnMapUpdateElem, asm.FnMapDeleteElem, asm.FnMapPushElem, asm.FnMapPopElem,
	asm.FnTaskStorageGet, asm.FnRingbufOutput, asm.FnRingbufReserve, asm.FnRingbufQuery,
}

func (m *Machine) tableOf(f asm.BuiltinFunc, address uint64) *table {
	if !slices.Contains(ofMaps, f) {
		return nil
	}
	for _, t := range m.maps {
		if mapAddress(t.Name) == address {
			return t
		}
	}
	return nil
}

// value is where the value of a key lies; 0 when there is none. An array is
// born full of zeros, but for the variables.
func (m *Machine) value(t *table, key []byte) (uint64, error) {
	if address := t.values[string(key)]; address != 0 {
		return address, nil
	}
	if t.Type != ebpf.Array || binary.NativeEndian.Uint32(key) >= t.MaxEntries {
		return 0, nil
	}
	address := m.allocate(int(t.ValueSize))
	for _, v := range m.spec.Variables {
		if v.SectionName == t.Name {
			copy(m.memory[address>>32][v.Offset:], v.Value)
		}
	}
	t.values[string(key)] = address
	return address, nil
}

func (m *Machine) mapHelper(f asm.BuiltinFunc, t *table, a [5]uint64) (uint64, error) {
	const missing = ^uint64(2) + 1 // -ENOENT
	if t == nil {
		return 0, fmt.Errorf("%v of no map", f)
	}
	if f == asm.FnMapPopElem {
		if len(t.queue) == 0 {
			return missing, nil
		}
		to, err := m.at(a[1], int(t.ValueSize))
		if err != nil {
			return 0, err
		}
		copy(to, t.queue[0])
		t.queue = t.queue[1:]
		return 0, nil
	}
	size := t.KeySize
	if f == asm.FnMapPushElem {
		size = t.ValueSize
	}
	b, err := m.at(a[1], int(size))
	if err != nil {
		return 0, err
	}
	switch f {
	case asm.FnMapPushElem:
		t.queue = append(t.queue, slices.Clone(b))
	case asm.FnMapDeleteElem:
		delete(t.values, string(b))
	case asm.FnMapUpdateElem:
		content, err := m.at(a[2], int(t.ValueSize))
		if err != nil {
			return 0, err
		}
		t.values[string(b)] = m.Allocate(content)
	default:
		return m.value(t, b)
	}
	return 0, nil
}

// Push puts a number into a queue.
func (m *Machine) Push(queue string, value uint32) {
	t := m.maps[queue]
	t.queue = append(t.queue, binary.NativeEndian.AppendUint32(nil, value))
}

// Put puts a value into a map.
func (m *Machine) Put(name string, key, value []byte) {
	m.maps[name].values[string(key)] = m.Allocate(value)
}

// Get returns the value of a key, nil when there is none.
func (m *Machine) Get(name string, key []byte) ([]byte, error) {
	t := m.maps[name]
	address, err := m.value(t, key)
	if err != nil || address == 0 {
		return nil, err
	}
	return m.at(address, int(t.ValueSize))
}

func (m *Machine) read(to uint64, size int, from uint64) (uint64, error) {
	b, err := m.at(to, size)
	if err != nil {
		return 0, err
	}
	clear(b)
	if content, err := m.at(from, size); err == nil {
		copy(b, content)
		return 0, nil
	}
	return failed, nil // which is for the program to deal with
}

func (m *Machine) readString(to uint64, size int, from uint64) (uint64, error) {
	b, err := m.at(to, size)
	if err != nil {
		return 0, err
	}
	index, offset := from>>32, int(uint32(from))
	if index == 0 || index >= uint64(len(m.memory)) || offset >= len(m.memory[index]) {
		return failed, nil
	}
	text, _, _ := bytes.Cut(m.memory[index][offset:], []byte{0})
	n := copy(b[:size-1], text)
	b[n] = 0
	return uint64(n + 1), nil
}
