// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/getsockopt/getsockoptreceiver/internal/tlsvariable"
)

// mapsMax bounds what is read of the list of a process's mappings.
const mapsMax = 8 << 20

// module is a file that a process has mapped, an executable or a library.
type module struct {
	path     string
	mappings []mapping
	code     bool // one of its mappings is executable
}

type mapping struct {
	addresses string // as the list has them: the name in map_files
	start     uint64
	offset    uint64
}

// variableIn looks for the variable in all modules of a process. One that defines it comes
// first: others refer to it. linker is the dynamic linker of the executable.
func variableIn(dir, linker string, known *files) (Variable, error) {
	modules, err := modulesOf(dir)
	if err != nil {
		return Variable{}, err
	}
	var v Variable
	for _, m := range modules {
		if !m.code {
			continue
		}
		f, err := m.open(dir, known)
		if errors.Is(err, os.ErrPermission) {
			return Variable{}, fmt.Errorf("read a library: %w", err)
		}
		if err != nil || len(f.variable.Slots) == 0 { // a file that is gone has no effect on others
			continue
		}
		slot := f.variable.Slots[0]
		bias, found := m.bias(f.variable.Segments)
		if found && (f.variable.Defined || v.Access == 0) {
			v = Variable{Access: slot.Access, At: slot.Address + bias}
		}
	}
	if v.Access != 0 {
		v.Musl = strings.HasPrefix(filepath.Base(linker), "ld-musl-")
	}
	return v, nil
}

// open returns what is known of the file of a module. map_files has the very file that is
// mapped, also if it was replaced or deleted, and needs CAP_CHECKPOINT_RESTORE (5.9) or
// CAP_SYS_ADMIN.
func (m *module) open(dir string, known *files) (file, error) {
	f, err := known.open(filepath.Join(dir, "map_files", m.mappings[0].addresses))
	if errors.Is(err, os.ErrPermission) {
		return known.open(dir + "/root" + m.path)
	}
	return f, err
}

// bias returns the distance of a module's addresses in memory from those in its file.
func (m *module) bias(segments []tlsvariable.Segment) (bias uint64, found bool) {
	page := uint64(os.Getpagesize())
	for _, at := range m.mappings {
		for _, s := range segments {
			if s.Offset&^(page-1) == at.offset {
				return at.start - s.Address&^(page-1), true
			}
		}
	}
	return 0, false
}

func modulesOf(dir string) ([]*module, error) {
	f, err := os.Open(filepath.Join(dir, "maps"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mapsMax))
	if err != nil {
		return nil, fmt.Errorf("read the mappings: %w", err)
	}
	return parseMaps(string(b)), nil
}

// parseMaps groups the mappings of files by file. A line is
//
//	7f0a1c000000-7f0a1c026000 r--p 00000000 fe:01 1835024  /usr/lib/libc.so.6
func parseMaps(list string) (modules []*module) {
	byFile := make(map[string]*module)
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[4] == "0" {
			continue
		}
		first, _, _ := strings.Cut(fields[0], "-")
		start, err := strconv.ParseUint(first, 16, 64)
		if err != nil {
			continue
		}
		offset, err := strconv.ParseUint(fields[2], 16, 64)
		if err != nil {
			continue
		}
		file := fields[3] + " " + fields[4]
		m := byFile[file]
		if m == nil {
			m = &module{path: pathOf(line)}
			byFile[file] = m
			modules = append(modules, m)
		}
		m.mappings = append(m.mappings, mapping{fields[0], start, offset})
		m.code = m.code || strings.Contains(fields[1], "x")
	}
	return modules
}

// pathOf returns the path at the end of a line, which may have spaces, and newlines as \012.
func pathOf(line string) string {
	at := strings.IndexByte(line, '/')
	if at < 0 {
		return ""
	}
	return strings.ReplaceAll(strings.TrimSuffix(line[at:], "\n"), `\012`, "\n")
}
