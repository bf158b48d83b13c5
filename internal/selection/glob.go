// SPDX-License-Identifier: Apache-2.0

package selection

import (
	"errors"
	"fmt"
	"path"
)

// maxCharacters is how many characters a glob may have, stars not counted: the set of
// states has one bit for each, and one for the end.
const maxCharacters = 63

// Glob is a compiled glob: the table of a nondeterministic finite automaton (NFA), which
// bpf/select.h and [Glob.Match] evaluate with one lookup for each byte of a name. State i
// is the state after i characters of the glob; a set of states is a mask.
type Glob struct {
	// Next is for each byte the set of states from which it leads to the next one.
	Next [256]uint64
	// Stars is the set of states that a star follows, which any byte leaves unchanged.
	Stars uint64
	// Accept is the set of the last state: the name matches if it is reached.
	Accept uint64
}

var errTooLong = fmt.Errorf("more than %d characters", maxCharacters)

// compileGlob compiles a glob with the syntax of path.Match, which is the shell's: * ?
// [a-z] [^a-z], and \ to escape the next character. It matches bytes, as file names are
// bytes: ? and [...] match one byte of a character beyond ASCII.
func compileGlob(pattern string) (Glob, error) {
	var g Glob
	if _, err := path.Match(pattern, ""); err != nil {
		return g, err
	}
	if pattern == "" {
		return g, errors.New("empty, which matches nothing")
	}
	state := 0
	for rest := pattern; rest != ""; {
		if rest[0] == '*' {
			g.Stars |= 1 << state
			rest = rest[1:]
			continue
		}
		if state == maxCharacters {
			return g, errTooLong
		}
		accepts, after, err := character(rest)
		if err != nil {
			return g, err
		}
		for b := range accepts {
			if accepts[b] && b != 0 { // no name holds a NUL
				g.Next[b] |= 1 << state
			}
		}
		state++
		rest = after
	}
	g.Accept = 1 << state
	return g, nil
}

// character parses the first character of a pattern, and returns the bytes that it
// accepts.
func character(pattern string) (accepts [256]bool, rest string, err error) {
	switch pattern[0] {
	case '?':
		for b := range accepts {
			accepts[b] = true
		}
		return accepts, pattern[1:], nil
	case '[':
		return class(pattern[1:])
	}
	b, rest, err := literal(pattern)
	accepts[b] = true
	return accepts, rest, err
}

// class parses a character class after its opening bracket.
func class(pattern string) (accepts [256]bool, rest string, err error) {
	negated := pattern != "" && pattern[0] == '^'
	if negated {
		pattern = pattern[1:]
	}
	for first := true; ; first = false {
		if pattern == "" {
			return accepts, "", path.ErrBadPattern
		}
		if pattern[0] == ']' && !first {
			break
		}
		var low byte
		if low, pattern, err = literal(pattern); err != nil {
			return accepts, "", err
		}
		high := low
		if len(pattern) > 1 && pattern[0] == '-' && pattern[1] != ']' {
			if high, pattern, err = literal(pattern[1:]); err != nil {
				return accepts, "", err
			}
		}
		for b := int(low); b <= int(high); b++ {
			accepts[b] = true
		}
	}
	if negated {
		for b := range accepts {
			accepts[b] = !accepts[b]
		}
	}
	return accepts, pattern[1:], nil
}

func literal(pattern string) (b byte, rest string, err error) {
	if pattern[0] == '\\' {
		pattern = pattern[1:]
		if pattern == "" {
			return 0, "", path.ErrBadPattern
		}
	}
	return pattern[0], pattern[1:], nil
}

// Match reports whether the whole name matches. The receiver does not need it: it is the
// reference by which tests check the automaton that the BPF programs evaluate.
func (g *Glob) Match(name string) bool {
	states := uint64(1)
	for i := range len(name) {
		states = states&g.Next[name[i]]<<1 | states&g.Stars
	}
	return states&g.Accept != 0
}
