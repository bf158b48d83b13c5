// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Object is one BPF object of the kernel. Its kind is as in fdinfo.
type Object struct {
	Kind string // prog_id, map_id or link_id
	ID   uint32
}

// Objects are all BPF programs, maps and links that the kernel has.
func Objects() (map[Object]bool, error) {
	all := map[Object]bool{}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("list programs: %w", err)
		}
		id = next
		all[Object{"prog_id", uint32(id)}] = true
	}
	for id := ebpf.MapID(0); ; {
		next, err := ebpf.MapGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("list maps: %w", err)
		}
		id = next
		all[Object{"map_id", uint32(id)}] = true
	}
	var links link.Iterator
	defer links.Close()
	for links.Next() {
		all[Object{"link_id", uint32(links.ID)}] = true
	}
	return all, links.Err()
}

// Held are the BPF objects that a process, or with "*" any process, has a
// descriptor of.
func Held(pid string) (map[Object]bool, error) {
	held := map[Object]bool{}
	files, err := filepath.Glob("/proc/" + pid + "/fdinfo/*")
	if err != nil {
		return nil, err
	}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			continue // closed meanwhile
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			key, value, _ := strings.Cut(lines.Text(), ":")
			if key != "prog_id" && key != "map_id" && key != "link_id" {
				continue
			}
			if id, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32); err == nil {
				held[Object{key, uint32(id)}] = true
			}
		}
		f.Close()
	}
	return held, nil
}

// HeldBy are the BPF objects that a process has a descriptor of.
func HeldBy(pid int) (map[Object]bool, error) { return Held(strconv.Itoa(pid)) }

// NothingNew returns an error as long as the kernel has objects that it did not
// have before and that no running process holds, which is what a leak is:
// other programs may use BPF as they like meanwhile.
func NothingNew(before map[Object]bool) error {
	now, err := Objects()
	if err != nil {
		return err
	}
	maps.DeleteFunc(now, func(o Object, _ bool) bool { return before[o] })
	if len(now) == 0 {
		return nil
	}
	held, err := Held("*")
	if err != nil {
		return err
	}
	for o := range maps.Clone(held) { // a program or a link holds others
		for _, id := range behind(o) {
			held[id] = true
		}
	}
	maps.DeleteFunc(now, func(o Object, _ bool) bool { return held[o] })
	return there(now)
}

// behind are the objects that one holds on to.
func behind(o Object) (others []Object) {
	if o.Kind == "link_id" {
		l, err := link.NewFromID(link.ID(o.ID))
		if err != nil {
			return nil // gone meanwhile
		}
		defer l.Close()
		info, err := l.Info()
		if err != nil {
			return nil
		}
		o = Object{"prog_id", uint32(info.Program)}
		others = append(others, o)
	}
	if o.Kind != "prog_id" {
		return others
	}
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(o.ID))
	if err != nil {
		return others
	}
	defer p.Close()
	if info, err := p.Info(); err == nil {
		ids, _ := info.MapIDs()
		for _, id := range ids {
			others = append(others, Object{"map_id", uint32(id)})
		}
	}
	return others
}

// Gone returns an error as long as the kernel has any of these objects.
func Gone(objects map[Object]bool) error {
	now, err := Objects()
	if err != nil {
		return err
	}
	maps.DeleteFunc(now, func(o Object, _ bool) bool { return !objects[o] })
	return there(now)
}

func there(objects map[Object]bool) error {
	if len(objects) == 0 {
		return nil
	}
	var names []string
	for o := range objects {
		names = append(names, fmt.Sprintf("%s %d", o.Kind, o.ID))
	}
	slices.Sort(names)
	return fmt.Errorf("still in the kernel: %s", strings.Join(names, ", "))
}

// Descriptors is how many descriptors a process has.
func Descriptors(pid int) (int, error) {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(files), err
}

// Resident is how many bytes of memory a process occupies.
func Resident(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0, fmt.Errorf("read statm: %w", err)
	}
	return resident * int64(os.Getpagesize()), nil
}
