// SPDX-License-Identifier: Apache-2.0

package selection

import (
	"errors"
	"fmt"
	"path"
)

// maxPlaces is how many characters a glob may stand for, stars not counted:
// the kernel keeps one bit for each place between them.
const maxPlaces = 63

// Glob is a compiled glob: a table that matches a name with one lookup for
// each of its bytes, in the kernel (bpf/select.h) as here.
type Glob struct {
	// Next holds for each byte the places that accept it: bit i when the
	// character after i others does.
	Next [256]uint64
	// Stars holds the places that a star follows, where any byte may be skipped.
	Stars uint64
	// Accept is the bit of the last place.
	Accept uint64
}

var errTooLong = fmt.Errorf("more than %d characters", maxPlaces)

// compileGlob takes the syntax of path.Match, which is the shell's: * ? [a-z]
// [^a-z] and \ to take the next character as it is. It matches bytes, as names
// of files are; a character beyond ASCII is several, so ? and [...] match a
// part of one.
func compileGlob(pattern string) (Glob, error) {
	var g Glob
	if _, err := path.Match(pattern, ""); err != nil {
		return g, err
	}
	if pattern == "" {
		return g, errors.New("empty, which matches nothing")
	}
	place := 0
	for rest := pattern; rest != ""; {
		if rest[0] == '*' {
			g.Stars |= 1 << place
			rest = rest[1:]
			continue
		}
		if place == maxPlaces {
			return g, errTooLong
		}
		accepts, after, err := character(rest)
		if err != nil {
			return g, err
		}
		for b := range accepts {
			if accepts[b] && b != 0 { // no name holds a NUL
				g.Next[b] |= 1 << place
			}
		}
		place++
		rest = after
	}
	g.Accept = 1 << place
	return g, nil
}

// character takes one character of a pattern: which bytes it accepts.
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

// class takes what follows an opening bracket.
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

// Match reports whether the whole name matches, as the kernel finds it.
func (g *Glob) Match(name string) bool {
	places := uint64(1)
	for i := range len(name) {
		places = places&g.Next[name[i]]<<1 | places&g.Stars
	}
	return places&g.Accept != 0
}
