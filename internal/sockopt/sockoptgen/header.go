// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strings"
)

// header is the constants of a header, defined by `#define NAME expression` and by
// enums, not yet evaluated. Conditions (#if) are not followed: the first definition of a
// name counts, and the few names that a header defines twice are aliases which the rules
// leave out (SO_TIMESTAMP is SO_TIMESTAMP_OLD on one word size and SO_TIMESTAMP_NEW on
// another).
type header struct {
	names []string // in the order of the file
	defs  map[string]definition
}

// definition is one constant or function-like macro.
type definition struct {
	params []string // of a function-like macro
	body   string
}

var (
	comments   = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	defineLine = regexp.MustCompile(`^\s*#\s*define\s+([A-Za-z_]\w*)(\([^)]*\))?(.*)$`)
	enumBody   = regexp.MustCompile(`(?s)\benum\b\s*\w*\s*\{(.*?)\}`)
	enumMember = regexp.MustCompile(`^\s*([A-Za-z_]\w*)\s*(?:=\s*(.*?))?\s*$`)
)

func parseHeader(text string) *header {
	text = strings.ReplaceAll(text, "\\\n", " ")
	text = comments.ReplaceAllString(text, " ")
	h := &header{defs: make(map[string]definition)}
	var code strings.Builder // what is left without the preprocessor's lines
	for line := range strings.Lines(text) {
		m := defineLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		switch {
		case m != nil:
			h.define(m[1], definition{params: parameters(m[2]), body: strings.TrimSpace(m[3])})
		case strings.HasPrefix(strings.TrimSpace(line), "#"):
		default:
			code.WriteString(line)
		}
	}
	for _, m := range enumBody.FindAllStringSubmatch(code.String(), -1) {
		h.enum(m[1])
	}
	return h
}

func (h *header) define(name string, d definition) {
	if d.body == "" || d.body == name { // an include guard, or an enum's `#define X X`
		return
	}
	if _, ok := h.defs[name]; ok {
		return
	}
	h.names = append(h.names, name)
	h.defs[name] = d
}

// enum defines the members of an enum. A member without a value is one more than the
// member before.
func (h *header) enum(body string) {
	base, next := "-1", 1
	for part := range strings.SplitSeq(body, ",") {
		m := enumMember.FindStringSubmatch(strings.ReplaceAll(part, "\n", " "))
		if m == nil {
			continue
		}
		value := m[2]
		if value == "" {
			value = fmt.Sprintf("(%s)+%d", base, next)
		} else {
			base, next = value, 0
		}
		next++
		h.define(m[1], definition{body: value})
	}
}

func parameters(list string) []string {
	if list == "" {
		return nil
	}
	var out []string
	for p := range strings.SplitSeq(strings.Trim(list, "()"), ",") {
		out = append(out, strings.TrimSpace(p))
	}
	return out
}
