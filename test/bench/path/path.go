// SPDX-License-Identifier: Apache-2.0

package path

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// Cost is what one run of a program executed.
type Cost struct {
	Instructions int
	// Calls of helpers and kernel functions, by name, those of maps with the
	// map's name. Atomic operations count among them as "atomic": they cost as
	// much.
	Calls map[string]int
	// Reads are those of memory through a helper, in their order.
	Reads []Read
	// Records are what was submitted to the ring buffer.
	Records [][]byte
}

// Read is a read of Size bytes.
type Read struct {
	At   uint64
	Size int
}

// Machine is a kernel with one task, as much of it as the programs notice. Its
// kernel memory reads as zeros but for what Poke put there.
type Machine struct {
	spec    *ebpf.CollectionSpec
	memory  []region
	maps    map[string]*table
	storage uint64 // the task's
	stack   uint64
	now     uint64
	cost    Cost

	// Task is the address of the current task. PID is both its ids.
	Task uint64
	PID  uint32
	// CallTime is what a call takes, in ns.
	CallTime uint64
}

// region is some memory; its index is in the upper half of its addresses, so
// that no access leaves one for another. Index 0 stays empty, for NULL.
type region []byte

// table is a map: values by key, each a region. An array is born full.
type table struct {
	*ebpf.MapSpec
	values map[string]uint64
	queue  [][]byte
}

const (
	taskSize  = 1 << 16
	stackSize = 512
	frames    = 8
	// steps ends a program that does not end by itself.
	steps = 1 << 20
)

var errMemory = errors.New("no such memory")

// New makes a machine for the programs and maps of a specification, whose
// variables are set by now.
func New(spec *ebpf.CollectionSpec) *Machine {
	m := &Machine{spec: spec, memory: make([]region, 1), maps: map[string]*table{}, now: 1, PID: 4711, CallTime: 200}
	m.Task = m.allocate(taskSize)
	m.stack = m.allocate(stackSize * frames)
	for name, s := range spec.Maps {
		m.maps[name] = &table{MapSpec: s, values: map[string]uint64{}}
	}
	return m
}

func (m *Machine) allocate(size int) uint64 {
	m.memory = append(m.memory, make(region, size))
	return uint64(len(m.memory)-1) << 32
}

// at is size bytes of memory.
func (m *Machine) at(address uint64, size int) ([]byte, error) {
	index, offset := address>>32, int(uint32(address))
	if index == 0 || index >= uint64(len(m.memory)) || offset+size > len(m.memory[index]) {
		return nil, fmt.Errorf("%w: %d bytes at %#x", errMemory, size, address)
	}
	return m.memory[index][offset : offset+size], nil
}

// Allocate makes memory with some content, of kernel or program alike.
func (m *Machine) Allocate(content []byte) uint64 {
	address := m.allocate(len(content))
	copy(m.memory[address>>32], content)
	return address
}

// Poke writes a field of a kernel struct at an address. The objects hold where
// fields are, as the sources declare them.
func (m *Machine) Poke(address uint64, structure string, value uint64, fields ...string) error {
	offset, size := uint32(0), uint32(0)
	var in *btf.Struct
	if err := m.spec.Types.TypeByName(structure, &in); err != nil {
		return err
	}
	for _, field := range fields {
		found := false
		for _, member := range in.Members {
			if member.Name != field {
				continue
			}
			found = true
			offset += member.Offset.Bytes()
			n, err := btf.Sizeof(member.Type)
			if err != nil {
				return err
			}
			size = uint32(n)
			in, _ = btf.UnderlyingType(member.Type).(*btf.Struct)
		}
		if !found {
			return fmt.Errorf("no field %s in struct %s", field, structure)
		}
	}
	b, err := m.at(address+uint64(offset), int(size))
	if err != nil {
		return err
	}
	store(b, value)
	return nil
}

// Run runs a program once over a context of 64-bit words.
func (m *Machine) Run(program string, context ...uint64) (Cost, error) {
	p := m.spec.Programs[program]
	if p == nil {
		return Cost{}, fmt.Errorf("no program %s", program)
	}
	b := make([]byte, 8*len(context))
	for i, word := range context {
		binary.NativeEndian.PutUint64(b[8*i:], word)
	}
	m.cost = Cost{Calls: map[string]int{}}
	c := code{instructions: p.Instructions, index: map[asm.RawInstructionOffset]int{}, symbols: map[string]int{}}
	for i := p.Instructions.Iterate(); i.Next(); {
		c.index[i.Offset] = i.Index
		c.offsets = append(c.offsets, i.Offset)
		if s := i.Ins.Symbol(); s != "" {
			c.symbols[s] = i.Index
		}
	}
	_, err := m.execute(&c, 0, 0, [5]uint64{m.Allocate(b)})
	return m.cost, err
}

// code is a program with the places that jumps and calls name.
type code struct {
	instructions asm.Instructions
	offsets      []asm.RawInstructionOffset // by index
	index        map[asm.RawInstructionOffset]int
	symbols      map[string]int
}

// execute runs a function in a frame and returns its result.
func (m *Machine) execute(c *code, from, frame int, arguments [5]uint64) (uint64, error) {
	if frame == frames {
		return 0, errors.New("calls are nested too deep")
	}
	var r [11]uint64
	copy(r[1:], arguments[:])
	r[10] = m.stack + uint64(stackSize*(frame+1))
	for at := from; ; at++ {
		ins := &c.instructions[at]
		if m.cost.Instructions++; m.cost.Instructions > steps {
			return 0, errors.New("the program does not end")
		}
		jump, exit, err := m.step(c, ins, &r, frame)
		if err != nil {
			return 0, fmt.Errorf("instruction %d, %v: %w", at, ins, err)
		}
		if exit {
			return r[0], nil
		}
		if jump {
			at = c.index[c.offsets[at]+ins.Width()+asm.RawInstructionOffset(distance(ins))] - 1
		}
	}
}

// distance is how far a jump goes, in raw instructions.
func distance(ins *asm.Instruction) int64 {
	if ins.OpCode.Class() == asm.Jump32Class && ins.OpCode.JumpOp() == asm.Ja {
		return ins.Constant
	}
	return int64(ins.Offset)
}

func (m *Machine) step(c *code, ins *asm.Instruction, r *[11]uint64, frame int) (jump, exit bool, err error) {
	switch class := ins.OpCode.Class(); class {
	case asm.ALUClass, asm.ALU64Class:
		return false, false, calculate(ins, r)
	case asm.LdClass:
		r[ins.Dst], err = m.loadConstant(ins)
	case asm.LdXClass, asm.StClass, asm.StXClass:
		return false, false, m.access(ins, r)
	case asm.JumpClass, asm.Jump32Class:
		switch ins.OpCode.JumpOp() {
		case asm.Exit:
			return false, true, nil
		case asm.Call:
			r[0], err = m.call(c, ins, r, frame)
		case asm.Ja:
			return true, false, nil
		default:
			jump, err = compare(ins, r)
		}
	default:
		err = fmt.Errorf("unknown class %v", class)
	}
	return jump, false, err
}

// loadConstant is the load of a number, of a map, or of a place in a map's
// only value.
func (m *Machine) loadConstant(ins *asm.Instruction) (uint64, error) {
	if !ins.OpCode.IsDWordLoad() {
		return 0, errors.New("not a load of 64 bits")
	}
	if !ins.IsLoadFromMap() {
		return uint64(ins.Constant), nil
	}
	t := m.maps[ins.Reference()]
	if t == nil {
		return 0, fmt.Errorf("no map %q", ins.Reference())
	}
	if ins.Src == asm.PseudoMapValue {
		value, err := m.value(t, make([]byte, t.KeySize))
		return value + uint64(ins.Constant)>>32, err
	}
	return mapAddress(t.Name), nil
}

// mapAddress stands for a map in a register: nothing that can be read.
func mapAddress(name string) uint64 {
	h := uint64(1) << 63
	for _, c := range name {
		h = h ^ h<<7 + uint64(c)*1_000_003
	}
	return h | 1<<63
}

func (m *Machine) access(ins *asm.Instruction, r *[11]uint64) error {
	class, size := ins.OpCode.Class(), ins.OpCode.Size().Sizeof()
	base := ins.Dst
	if class == asm.LdXClass {
		base = ins.Src
	}
	b, err := m.at(r[base]+uint64(int64(ins.Offset)), size)
	if class == asm.LdXClass {
		// A load through a typed pointer that leads nowhere yields zero.
		if r[ins.Dst] = 0; err == nil {
			r[ins.Dst] = load(b)
		}
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case class == asm.StClass:
		store(b, uint64(ins.Constant))
	case ins.OpCode.Mode() != asm.AtomicMode:
		store(b, r[ins.Src])
	default:
		m.cost.Calls["atomic"]++
		before := load(b)
		switch op := ins.OpCode.AtomicOp(); op {
		case asm.AddAtomic:
			store(b, before+r[ins.Src])
		case asm.FetchAdd:
			store(b, before+r[ins.Src])
			r[ins.Src] = before
		case asm.Xchg:
			store(b, r[ins.Src])
			r[ins.Src] = before
		case asm.CmpXchg:
			if before == r[0] {
				store(b, r[ins.Src])
			}
			r[0] = before
		default:
			return fmt.Errorf("unknown operation %v", op)
		}
	}
	return nil
}

func load(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return binary.NativeEndian.Uint64(b)
}

func store(b []byte, v uint64) {
	switch len(b) {
	case 1:
		b[0] = byte(v)
	case 2:
		binary.NativeEndian.PutUint16(b, uint16(v))
	case 4:
		binary.NativeEndian.PutUint32(b, uint32(v))
	default:
		binary.NativeEndian.PutUint64(b, v)
	}
}
