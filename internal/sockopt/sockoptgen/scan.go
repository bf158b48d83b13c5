// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// row is an option that a header defines.
type row struct {
	level  int32
	code   int32
	family uint16
	name   string
	header string
}

// tree is the headers below one root, each parsed once.
type tree struct {
	root    string
	headers map[string]*header
	all     map[string]definition
}

func newTree(root string) *tree {
	return &tree{root: root, headers: make(map[string]*header), all: make(map[string]definition)}
}

// header parses a file of the tree; nil when the tree does not have it.
func (t *tree) header(name string) (*header, error) {
	if h, ok := t.headers[name]; ok {
		return h, nil
	}
	text, err := os.ReadFile(filepath.Join(t.root, name))
	if errors.Is(err, fs.ErrNotExist) {
		t.headers[name] = nil
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h := parseHeader(string(text))
	t.headers[name] = h
	for _, n := range h.names {
		if _, ok := t.all[n]; !ok {
			t.all[n] = h.defs[n]
		}
	}
	return h, nil
}

// shared are headers whose constants others are made of, and the constants of
// linux/socket.h that the UAPI headers expect from the C library.
var shared = []string{"linux/netfilter/x_tables.h", "linux/can.h"}

var libc = map[string]definition{
	"SOL_ATM": {body: "264"}, "AF_INET": {body: "2"}, "AF_INET6": {body: "10"},
}

// scan returns the options that the rules find in the headers below a root, the UAPI's
// or the kernel's own.
func scan(root string, internal bool) ([]row, error) {
	t := newTree(root)
	for name, d := range libc {
		t.all[name] = d
	}
	for _, name := range shared {
		if _, err := t.header(name); err != nil {
			return nil, err
		}
	}
	var rows []row
	for _, r := range rules {
		if r.internal != internal {
			continue
		}
		h, err := t.header(r.header)
		if err != nil {
			return nil, err
		}
		if h == nil {
			continue
		}
		found, err := r.scan(scope{own: h, other: t.all})
		if err != nil {
			return nil, fmt.Errorf("%s/%s: %w", root, r.header, err)
		}
		rows = append(rows, found...)
	}
	return rows, nil
}

func (r rule) scan(s scope) ([]row, error) {
	var rows []row
	for _, name := range s.own.names {
		if s.own.defs[name].params != nil || !r.isOption(name) {
			continue
		}
		value, err := s.value(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if value != int64(int32(value)) {
			return nil, fmt.Errorf("%s: %d is no option number", name, value)
		}
		rows = append(rows, row{
			level: r.level, code: int32(value), family: r.family,
			name: programmersName(name), header: r.header,
		})
	}
	return rows, nil
}

// scanAll returns the union of the options of all roots. A root is a UAPI root
// (/usr/include) or a kernel's own include directory, which holds the UAPI in a
// directory below.
func scanAll(roots []string) ([]row, error) {
	var rows []row
	for _, root := range roots {
		uapi, internal := root, false
		if _, err := os.Stat(filepath.Join(root, "uapi")); err == nil {
			uapi, internal = filepath.Join(root, "uapi"), true
		}
		found, err := scan(uapi, false)
		if err != nil {
			return nil, err
		}
		rows = append(rows, found...)
		if internal {
			if found, err = scan(root, true); err != nil {
				return nil, err
			}
			rows = append(rows, found...)
		}
	}
	return unite(rows)
}

// unite sorts the rows and removes duplicates. It returns an error if rules give one
// number two names.
func unite(rows []row) ([]row, error) {
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.level, b.level), cmp.Compare(a.code, b.code), cmp.Compare(a.family, b.family))
	})
	out := rows[:0]
	for _, r := range rows {
		if n := len(out); n > 0 && out[n-1].key() == r.key() {
			if out[n-1].name != r.name {
				return nil, fmt.Errorf("level %d, option %d: %s (%s) or %s (%s)?",
					r.level, r.code, out[n-1].name, out[n-1].header, r.name, r.header)
			}
			continue
		}
		out = append(out, r)
	}
	return out, nil
}

func (r row) key() row {
	r.name, r.header = "", ""
	return r
}
