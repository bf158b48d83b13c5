// SPDX-License-Identifier: Apache-2.0

package selection

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// maxPatterns is PATTERNS_MAX of bpf/maps.h.
const maxPatterns = 256

// List is one side of a selection: what is wanted, or what is not. An empty
// list of a kind says nothing about it.
type List struct {
	Options     []string // "SOL_SOCKET/SO_ERROR", "IPPROTO_TCP/*", or numbers: "6/11"
	Executables []string // file names, globs allowed
	Containers  []string // ids or their beginnings, 4 hexadecimal digits or more
	Users       []int    // effective uids, in the initial user namespace
}

// Subject is what a rule is about, enum subject of bpf/maps.h.
type Subject uint32

// The subjects; a mask.
const (
	Options Subject = 1 << iota
	Users
	Executables
	Containers
)

// Effect is what a rule does, enum rule of bpf/maps.h; a mask.
type Effect uint32

// The effects. Exclusion wins.
const (
	Include Effect = 1 << iota
	Exclude
)

// Option is a pair of numbers, or with Any all the options of a level.
type Option struct {
	Level, Code int32
	Any         bool
}

// Pattern is a glob over executables' names, or a beginning of container ids.
type Pattern struct {
	Glob    Glob
	Subject Subject
	Effect  Effect
}

// Rules is a compiled selection. The zero value selects every call.
type Rules struct {
	Options  map[Option]Effect
	Users    map[uint32]Effect
	Patterns []Pattern
	// Ruled are the subjects that any rule is about, Included those of which
	// only what a rule includes is wanted.
	Ruled, Included Subject
}

// Compile makes the rules. Its errors name the key and the offending item.
func Compile(include, exclude List) (*Rules, error) {
	r := &Rules{Options: map[Option]Effect{}, Users: map[uint32]Effect{}}
	if err := r.add("select", include, Include); err != nil {
		return nil, err
	}
	if err := r.add("select::exclude", exclude, Exclude); err != nil {
		return nil, err
	}
	if len(r.Patterns) > maxPatterns {
		return nil, fmt.Errorf("select: %d executables and containers, at most %d are possible", len(r.Patterns), maxPatterns)
	}
	return r, nil
}

func (r *Rules) add(at string, l List, effect Effect) error {
	for i, item := range l.Options {
		options, err := parseOption(item)
		if err != nil {
			return itemError(at, "options", i, item, err)
		}
		for _, o := range options {
			r.Options[o] |= effect
		}
		r.note(Options, effect)
	}
	for i, item := range l.Executables {
		g, err := compileGlob(item)
		if err != nil {
			return itemError(at, "executables", i, item, err)
		}
		r.Patterns = append(r.Patterns, Pattern{g, Executables, effect})
		r.note(Executables, effect)
	}
	for i, item := range l.Containers {
		g, err := compileContainer(item)
		if err != nil {
			return itemError(at, "containers", i, item, err)
		}
		r.Patterns = append(r.Patterns, Pattern{g, Containers, effect})
		r.note(Containers, effect)
	}
	for i, uid := range l.Users {
		if uid < 0 || uint64(uid) >= 1<<32-1 {
			return itemError(at, "users", i, strconv.Itoa(uid), fmt.Errorf("no user id, which is 0 to %d", uint32(1<<32-2)))
		}
		r.Users[uint32(uid)] |= effect
		r.note(Users, effect)
	}
	return nil
}

func (r *Rules) note(s Subject, effect Effect) {
	r.Ruled |= s
	if effect == Include {
		r.Included |= s
	}
}

func itemError(at, key string, i int, item string, err error) error {
	return fmt.Errorf("%s::%s: item %d, %q: %w", at, key, i+1, item, err)
}

// parseOption takes LEVEL/OPTION, each a name or a number, or LEVEL/*.
func parseOption(item string) ([]Option, error) {
	levelName, name, found := strings.Cut(item, "/")
	if !found || levelName == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("must be LEVEL/OPTION or LEVEL/*, such as SOL_SOCKET/SO_ERROR")
	}
	level, numeric, known := parseLevel(levelName)
	if !known {
		return nil, fmt.Errorf("no level is named %q", levelName)
	}
	if name == "*" {
		return []Option{{Level: level, Any: true}}, nil
	}
	if code, err := strconv.ParseInt(name, 0, 32); err == nil {
		return []Option{{Level: level, Code: int32(code)}}, nil
	}
	if numeric {
		levelName = sockopt.LevelName(level, sockopt.Where{})
	}
	var options []Option
	for _, o := range sockopt.Find(levelName, name) {
		options = append(options, Option{Level: o.Level, Code: o.Code})
	}
	if options == nil {
		return nil, fmt.Errorf("level %s has no option %q", levelName, name)
	}
	return options, nil
}

func parseLevel(name string) (level int32, numeric, known bool) {
	if n, err := strconv.ParseInt(name, 0, 32); err == nil {
		return int32(n), true, true
	}
	options := sockopt.Find(name, "*")
	if options == nil {
		return 0, false, false
	}
	return options[0].Level, false, true
}

var containerID = regexp.MustCompile(`^[0-9a-f]{4,64}$`)

func compileContainer(item string) (Glob, error) {
	if !containerID.MatchString(item) {
		return Glob{}, fmt.Errorf("must be a container id or its beginning, 4 to 64 hexadecimal digits")
	}
	if len(item) > maxPlaces {
		item = item[:maxPlaces] // 252 bits tell two containers apart
	}
	return compileGlob(item + "*")
}
