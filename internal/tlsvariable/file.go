// SPDX-License-Identifier: Apache-2.0

package tlsvariable

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Access is how a thread finds its copy of a variable.
type Access uint8

// The ways, as enum tls_access of bpf/records.h numbers them. The last three read a slot,
// which the dynamic linker fills.
const (
	AccessOffset         Access = iota + 1 // at a fixed distance from the thread pointer: local exec
	AccessSlotOffset                       // the slot holds the distance: initial exec
	AccessSlotIndex                        // the slot holds a module and an offset: general dynamic
	AccessSlotDescriptor                   // the slot holds a function and its argument: TLSDESC
)

// Slot is a place where a file keeps how to reach the variable.
type Slot struct {
	Access  Access
	Address uint64 // before relocation
}

// Segment is a part of the file that is mapped into memory.
type Segment struct {
	Offset, Address, Size uint64 // in the file; before relocation; of the part in the file
}

// File is what a file has to do with a variable. The zero value has nothing to do with it.
type File struct {
	Dynamic     bool   // it may use libraries
	Interpreter string // the path of its dynamic linker; empty for none
	Segments    []Segment
	// Defined reports whether the file defines the variable, and Offset where it is in the
	// thread-local storage of the file. Distance is its distance from the thread pointer if
	// the file is the executable.
	Defined  bool
	Offset   uint64
	Distance int64
	Slots    []Slot
}

// ErrFormat is wrapped by the errors of files that are not valid, or of another
// architecture.
var ErrFormat = errors.New("not an ELF file of this architecture")

const (
	headerSize  = 64
	segmentSize = 56
	sectionSize = 64
	symbolSize  = 24
	dynamicSize = 16
	relocSize   = 24

	segmentsMax = 256
	dynamicMax  = 1024
	chainMax    = 1 << 20 // symbols in one bucket of a hash table
	slotsMax    = 16
	pathMax     = 4096 // PATH_MAX
)

// reader reads parts of a file, by the byte order and sizes of 64-bit little-endian ELF.
type reader struct {
	file    io.ReaderAt
	machine elf.Machine
	loads   []Segment
	tls     struct{ size, align uint64 }
	linker  string // the path of the dynamic linker
}

// Find looks for a variable in a file for a machine.
func Find(file io.ReaderAt, machine elf.Machine, name string) (File, error) {
	r := reader{file: file, machine: machine}
	header, err := r.bytes(0, headerSize)
	if err != nil {
		return File{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if string(header[:4]) != elf.ELFMAG || elf.Class(header[elf.EI_CLASS]) != elf.ELFCLASS64 ||
		elf.Data(header[elf.EI_DATA]) != elf.ELFDATA2LSB || elf.Machine(u16(header[18:])) != machine {
		return File{}, ErrFormat
	}
	var f File
	dynamic, err := r.segments(header)
	if err != nil {
		return File{}, err
	}
	f.Segments, f.Interpreter, f.Dynamic = r.loads, r.linker, dynamic != nil
	if f.Dynamic {
		if err := r.dynamicSymbol(&f, dynamic, name); err != nil {
			return File{}, err
		}
	}
	// A static executable may have no dynamic symbols, and needs no dynamic linker.
	if !f.Defined && r.tls.size > 0 && r.linker == "" {
		if err := r.staticSymbol(&f, header, name); err != nil {
			return File{}, err
		}
	}
	if f.Defined {
		f.Distance = r.distance(f.Offset)
	}
	return f, nil
}

// distance returns the distance of a variable of the executable from the thread pointer. On
// x86-64 the thread pointer is at the end of the executable's storage, on arm64 two words
// before its beginning.
func (r *reader) distance(offset uint64) int64 {
	if r.machine == elf.EM_AARCH64 {
		return int64(alignUp(16, r.tls.align) + offset)
	}
	return int64(offset - alignUp(r.tls.size, r.tls.align))
}

func alignUp(n, align uint64) uint64 {
	if align < 2 {
		return n
	}
	return (n + align - 1) / align * align
}

// segments reads the program headers, and returns the dynamic section, nil if there is none.
func (r *reader) segments(header []byte) (dynamic []byte, err error) {
	count, size := int(u16(header[56:])), int(u16(header[54:]))
	if count > segmentsMax || size != segmentSize {
		return nil, fmt.Errorf("%w: %d program headers of %d bytes", ErrFormat, count, size)
	}
	b, err := r.bytes(u64(header[32:]), count*segmentSize)
	if err != nil {
		return nil, fmt.Errorf("read the program headers: %w", err)
	}
	for ; len(b) > 0; b = b[segmentSize:] {
		s := Segment{Offset: u64(b[8:]), Address: u64(b[16:]), Size: u64(b[32:])}
		switch elf.ProgType(u32(b)) {
		case elf.PT_LOAD:
			r.loads = append(r.loads, s)
		case elf.PT_TLS:
			r.tls.size, r.tls.align = u64(b[40:]), u64(b[48:])
		case elf.PT_INTERP:
			path, err := r.bytes(s.Offset, int(min(s.Size, pathMax)))
			if err != nil {
				return nil, fmt.Errorf("read the path of the dynamic linker: %w", err)
			}
			path, _, _ = bytes.Cut(path, []byte{0})
			r.linker = string(path)
		case elf.PT_DYNAMIC:
			if dynamic, err = r.bytes(s.Offset, int(min(s.Size, dynamicMax*dynamicSize))); err != nil {
				return nil, fmt.Errorf("read the dynamic section: %w", err)
			}
		}
	}
	return dynamic, nil
}

// tables are the addresses that the dynamic section names.
type tables struct {
	symbols, strings, hash, gnuHash uint64
	relocations                     [2]struct{ at, size uint64 } // .rela.plt, with most descriptors, and .rela.dyn
}

func parseDynamic(b []byte) (t tables) {
	for ; len(b) >= dynamicSize; b = b[dynamicSize:] {
		value := u64(b[8:])
		switch elf.DynTag(u64(b)) {
		case elf.DT_NULL:
			return t
		case elf.DT_SYMTAB:
			t.symbols = value
		case elf.DT_STRTAB:
			t.strings = value
		case elf.DT_HASH:
			t.hash = value
		case elf.DT_GNU_HASH:
			t.gnuHash = value
		case elf.DT_JMPREL:
			t.relocations[0].at = value
		case elf.DT_PLTRELSZ:
			t.relocations[0].size = value
		case elf.DT_RELA: //nolint:misspell // the name in the ELF specification
			t.relocations[1].at = value
		case elf.DT_RELASZ:
			t.relocations[1].size = value
		}
	}
	return t
}

// dynamicSymbol looks for the variable among the dynamic symbols, and for its slots among
// the relocations.
func (r *reader) dynamicSymbol(f *File, dynamic []byte, name string) error {
	t := parseDynamic(dynamic)
	if t.symbols == 0 || t.strings == 0 {
		return nil
	}
	symbols := symbolTable{reader: r, symbols: t.symbols, strings: t.strings, mapped: true}
	index, found, err := symbols.lookup(t, name)
	if err != nil || !found {
		return err
	}
	symbol, err := symbols.at(index)
	if err != nil {
		return err
	}
	f.Defined, f.Offset = symbol.defined, symbol.value
	for _, table := range t.relocations {
		if err := r.slots(f, table.at, table.size, index); err != nil {
			return err
		}
	}
	return nil
}

// memory returns the offset in the file of an address before relocation.
func (r *reader) memory(address uint64) (offset uint64, err error) {
	for _, s := range r.loads {
		if address >= s.Address && address-s.Address < s.Size {
			return s.Offset + (address - s.Address), nil
		}
	}
	return 0, fmt.Errorf("%w: address %#x is in no segment", ErrFormat, address)
}

// bytes reads a part of the file.
func (r *reader) bytes(offset uint64, n int) ([]byte, error) {
	if offset > math.MaxInt64 {
		return nil, fmt.Errorf("%w: offset %#x", ErrFormat, offset)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(r.file, int64(offset), int64(n)), b); err != nil {
		return nil, fmt.Errorf("read %d bytes at %#x: %w", n, offset, err)
	}
	return b, nil
}

func u16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func u64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func le64(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
