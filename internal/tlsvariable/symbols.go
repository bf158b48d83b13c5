// SPDX-License-Identifier: Apache-2.0

package tlsvariable

import (
	"bytes"
	"debug/elf"
	"fmt"
)

// symbolTable is a table of symbols in memory, or in the sections of the file.
type symbolTable struct {
	*reader
	symbols, strings uint64
	mapped           bool // the two are addresses, not offsets in the file
}

type symbol struct {
	name    uint32
	isTLS   bool
	defined bool
	value   uint64
}

func parseSymbol(b []byte) symbol {
	return symbol{
		name:    u32(b),
		isTLS:   elf.ST_TYPE(b[4]) == elf.STT_TLS,
		defined: elf.SectionIndex(u16(b[6:])) != elf.SHN_UNDEF,
		value:   u64(b[8:]),
	}
}

// read reads a part of a table.
func (t *symbolTable) read(at uint64, n int) ([]byte, error) {
	if t.mapped {
		var err error
		if at, err = t.memory(at); err != nil {
			return nil, err
		}
	}
	return t.bytes(at, n)
}

func (t *symbolTable) at(index uint32) (symbol, error) {
	b, err := t.read(t.symbols+uint64(index)*symbolSize, symbolSize)
	if err != nil {
		return symbol{}, fmt.Errorf("read symbol %d: %w", index, err)
	}
	return parseSymbol(b), nil
}

// is reports whether a symbol is the variable.
func (t *symbolTable) is(s symbol, name string) bool {
	if !s.isTLS {
		return false
	}
	b, err := t.read(t.strings+uint64(s.name), len(name)+1)
	if err != nil { // a shorter name at the end of the table
		return false
	}
	return string(b[:len(name)]) == name && b[len(name)] == 0
}

// lookup returns the index of the variable. Hash tables hold the symbols that a file
// defines; those that it refers to come before them.
func (t *symbolTable) lookup(tables tables, name string) (index uint32, found bool, err error) {
	switch {
	case tables.gnuHash != 0:
		var hashed uint32
		if index, hashed, found, err = t.lookupGNU(tables.gnuHash, name); err != nil || found {
			return index, found, err
		}
		return t.scan(hashed, name)
	case tables.hash != 0:
		b, err := t.read(tables.hash, 8)
		if err != nil {
			return 0, false, fmt.Errorf("read the hash table: %w", err)
		}
		return t.scan(u32(b[4:]), name) // as many as there are chains
	}
	return 0, false, nil
}

// lookupGNU looks into a table of DT_GNU_HASH. hashed is the first symbol in it.
func (t *symbolTable) lookupGNU(at uint64, name string) (index, hashed uint32, found bool, err error) {
	b, err := t.read(at, 16)
	if err != nil {
		return 0, 0, false, fmt.Errorf("read the hash table: %w", err)
	}
	buckets, hashed, blooms := u32(b), u32(b[4:]), u32(b[8:])
	if buckets == 0 {
		return 0, hashed, false, nil
	}
	hash := hashGNU(name)
	bucketsAt := at + 16 + 8*uint64(blooms)
	if b, err = t.read(bucketsAt+4*uint64(hash%buckets), 4); err != nil {
		return 0, 0, false, fmt.Errorf("read the hash table: %w", err)
	}
	index = u32(b)
	if index < hashed {
		return 0, hashed, false, nil
	}
	chains := bucketsAt + 4*uint64(buckets)
	for range chainMax {
		if b, err = t.read(chains+4*uint64(index-hashed), 4); err != nil {
			return 0, 0, false, fmt.Errorf("read the hash table: %w", err)
		}
		entry := u32(b)
		if entry|1 == hash|1 {
			s, err := t.at(index)
			if err != nil {
				return 0, 0, false, err
			}
			if t.is(s, name) {
				return index, hashed, true, nil
			}
		}
		if entry&1 != 0 {
			return 0, hashed, false, nil
		}
		index++
	}
	return 0, 0, false, fmt.Errorf("%w: a hash table without an end", ErrFormat)
}

func hashGNU(name string) uint32 {
	h := uint32(5381)
	for _, c := range []byte(name) {
		h = h*33 + uint32(c)
	}
	return h
}

// scan looks through the first symbols of the table.
func (t *symbolTable) scan(count uint32, name string) (index uint32, found bool, err error) {
	const chunk = 512
	for index < count {
		n := min(chunk, count-index)
		b, err := t.read(t.symbols+uint64(index)*symbolSize, int(n)*symbolSize)
		if err != nil {
			return 0, false, fmt.Errorf("read the symbols: %w", err)
		}
		for ; len(b) > 0; b = b[symbolSize:] {
			if t.is(parseSymbol(b), name) {
				return index, true, nil
			}
			index++
		}
	}
	return 0, false, nil
}

// staticSymbol looks for the variable in the table of all symbols, which the sections have
// unless the file was stripped.
func (r *reader) staticSymbol(f *File, header []byte, name string) error {
	at, size, count := u64(header[40:]), int(u16(header[58:])), int(u16(header[60:]))
	if count == 0 || size != sectionSize {
		return nil
	}
	sections, err := r.bytes(at, count*sectionSize)
	if err != nil {
		return fmt.Errorf("read the section headers: %w", err)
	}
	for s := sections; len(s) > 0; s = s[sectionSize:] {
		strings := int(u32(s[40:]))
		if elf.SectionType(u32(s[4:])) != elf.SHT_SYMTAB || strings >= count {
			continue
		}
		t := symbolTable{reader: r, symbols: u64(s[24:]), strings: u64(sections[strings*sectionSize+24:])}
		index, found, err := t.scan(uint32(min(u64(s[32:])/symbolSize, 1<<31)), name)
		if err != nil || !found {
			return err
		}
		symbol, err := t.at(index)
		if err != nil {
			return err
		}
		f.Defined, f.Offset = symbol.defined, symbol.value
		return nil
	}
	return nil
}

var relocations = map[elf.Machine]map[uint32]Access{
	elf.EM_X86_64: {
		uint32(elf.R_X86_64_TPOFF64):  AccessSlotOffset,
		uint32(elf.R_X86_64_DTPMOD64): AccessSlotIndex,
		uint32(elf.R_X86_64_TLSDESC):  AccessSlotDescriptor,
	},
	elf.EM_AARCH64: {
		uint32(elf.R_AARCH64_TLS_TPREL64):  AccessSlotOffset,
		uint32(elf.R_AARCH64_TLS_DTPMOD64): AccessSlotIndex,
		uint32(elf.R_AARCH64_TLSDESC):      AccessSlotDescriptor,
	},
}

// slots finds the slots of a variable in a table of relocations.
func (r *reader) slots(f *File, at, size uint64, index uint32) error {
	const chunk = 1024 * relocSize
	for size >= relocSize && len(f.Slots) < slotsMax {
		n := min(size/relocSize*relocSize, chunk)
		offset, err := r.memory(at)
		if err != nil {
			return err
		}
		b, err := r.bytes(offset, int(n))
		if err != nil {
			return fmt.Errorf("read the relocations: %w", err)
		}
		for ; len(b) > 0; b = b[relocSize:] {
			access, found := relocations[r.machine][u32(b[8:])]
			if found && r.refers(f, access, u64(b), u32(b[12:]), u64(b[16:]), index) && len(f.Slots) < slotsMax {
				f.Slots = append(f.Slots, Slot{access, u64(b)})
			}
		}
		at, size = at+n, size-n
	}
	return nil
}

// refers reports whether a relocation is one of the variable. A reference within the file
// may name no symbol, but the offset: in the addend, or in the second word of the slot.
func (r *reader) refers(f *File, access Access, slot uint64, symbol uint32, addend uint64, index uint32) bool {
	switch {
	case symbol == index:
		return addend == 0
	case symbol != 0 || !f.Defined:
		return false
	case access != AccessSlotIndex:
		return addend == f.Offset
	}
	offset, err := r.memory(slot + 8)
	if err != nil {
		return false
	}
	b, err := r.bytes(offset, 8)
	return err == nil && bytes.Equal(b, le64(f.Offset))
}
