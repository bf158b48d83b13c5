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

// List is what to include, or what to exclude. An empty list of one subject does not
// restrict it.
type List struct {
	Options      []string // "SOL_SOCKET/SO_ERROR", "IPPROTO_TCP/*", or numbers: "6/11"
	Executables  []string // file names, globs allowed
	Containers   []string // ids or their beginnings, 4 to 64 hexadecimal digits
	SystemdUnits []string // names as systemctl shows them, globs allowed
	Users        []int    // effective uids, in the initial user namespace
}

// Subject is the property of a call that a rule matches, enum subject of bpf/types.h.
type Subject uint32

// The subjects; a mask.
const (
	SubjectOptions Subject = 1 << iota
	SubjectUsers
	SubjectExecutables
	SubjectContainers
	SubjectSystemdUnits
)

// Effect is whether a rule includes or excludes a call, enum rule of bpf/types.h; a mask.
type Effect uint32

// The effects. A call that one rule includes and another excludes is excluded.
const (
	EffectInclude Effect = 1 << iota
	EffectExclude
)

// Option matches one option, or with Any all options of a level, and then Code is 0.
type Option struct {
	Level, Code int32
	Any         bool
}

// Pattern is a glob for names of executables and units, or for container ids.
type Pattern struct {
	Glob    Glob
	Subject Subject // SubjectExecutables, SubjectContainers or SubjectSystemdUnits
	Effect  Effect
}

// Rules is a compiled selection. The zero value selects every call. Rules are not changed
// after [Compile], and may then be read by several goroutines.
type Rules struct {
	Options  map[Option]Effect
	Users    map[uint32]Effect // by effective uid in the initial user namespace
	Patterns []Pattern         // at most 256
	// Ruled is the subjects that have rules. Included is the subjects with including
	// rules, one of which must match.
	Ruled, Included Subject
}

// Compile returns the rules of a selection. An error names the configuration key and the
// item that is not valid.
func Compile(include, exclude List) (*Rules, error) {
	r := &Rules{Options: map[Option]Effect{}, Users: map[uint32]Effect{}}
	if err := r.add("select", include, EffectInclude); err != nil {
		return nil, err
	}
	if err := r.add("select::exclude", exclude, EffectExclude); err != nil {
		return nil, err
	}
	if len(r.Patterns) > maxPatterns {
		return nil, fmt.Errorf("select: %d executables, containers and systemd_units, at most %d are possible", len(r.Patterns), maxPatterns)
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
		r.note(SubjectOptions, effect)
	}
	for _, names := range []struct {
		key     string
		items   []string
		subject Subject
		compile func(string) (Glob, error)
	}{
		{"executables", l.Executables, SubjectExecutables, compileGlob},
		{"containers", l.Containers, SubjectContainers, compileContainer},
		{"systemd_units", l.SystemdUnits, SubjectSystemdUnits, compileGlob},
	} {
		for i, item := range names.items {
			g, err := names.compile(item)
			if err != nil {
				return itemError(at, names.key, i, item, err)
			}
			r.Patterns = append(r.Patterns, Pattern{g, names.subject, effect})
			r.note(names.subject, effect)
		}
	}
	for i, uid := range l.Users {
		if uid < 0 || uint64(uid) >= 1<<32-1 {
			return itemError(at, "users", i, strconv.Itoa(uid), fmt.Errorf("not a valid uid (0 to %d)", uint32(1<<32-2)))
		}
		r.Users[uint32(uid)] |= effect
		r.note(SubjectUsers, effect)
	}
	return nil
}

func (r *Rules) note(s Subject, effect Effect) {
	r.Ruled |= s
	if effect == EffectInclude {
		r.Included |= s
	}
}

func itemError(at, key string, i int, item string, err error) error {
	return fmt.Errorf("%s::%s: item %d, %q: %w", at, key, i+1, item, err)
}

// parseOption parses LEVEL/OPTION, each a name or a number, or LEVEL/*.
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
	find := levelName
	if numeric {
		find = sockopt.LevelName(level, sockopt.Where{})
	}
	var options []Option
	for _, o := range sockopt.Find(find, name) {
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
	if len(item) > maxCharacters {
		item = item[:maxCharacters] // 252 bits identify a container
	}
	return compileGlob(item + "*")
}
