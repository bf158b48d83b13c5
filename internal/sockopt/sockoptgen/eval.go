// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var errNotConstant = errors.New("not an integer constant")

// sizes are the sizeof operands that option numbers are made of: ATM puts a
// value's size into its option's number (linux/atm.h, __SO_ENCODE).
var sizes = map[string]int64{
	"int":                    4,
	"struct atm_qos":         84,
	"struct sockaddr_atmpvc": 12,
	"struct atm_sap":         40,
	"struct atm_cirange":     2,
}

var token = regexp.MustCompile(
	`\s*(sizeof\s*\([^)]*\)|0[xX][0-9a-fA-F]+[uUlL]*|\d+[uUlL]*|[A-Za-z_]\w*|<<|>>|[-+*/|&~()^,])`)

// scope resolves names: first in the header itself, then in all the others of the same tree.
type scope struct {
	own   *header
	other map[string]definition
}

func (s scope) find(name string) (definition, bool) {
	if d, ok := s.own.defs[name]; ok {
		return d, true
	}
	d, ok := s.other[name]
	return d, ok
}

// value evaluates a constant by name.
func (s scope) value(name string) (int64, error) {
	d, ok := s.find(name)
	if !ok || d.params != nil {
		return 0, errNotConstant
	}
	return s.eval(d.body, 0)
}

func (s scope) eval(expr string, depth int) (int64, error) {
	if depth > 64 {
		return 0, errNotConstant
	}
	p := parser{scope: s, depth: depth}
	for rest := expr; strings.TrimSpace(rest) != ""; {
		m := token.FindStringSubmatchIndex(rest)
		if m == nil || m[0] != 0 {
			return 0, errNotConstant
		}
		p.tokens = append(p.tokens, rest[m[2]:m[3]])
		rest = rest[m[1]:]
	}
	v, err := p.binary(0)
	if err == nil && len(p.tokens) > 0 {
		err = errNotConstant
	}
	return v, err
}

// parser is a precedence climber over the operators that the headers use.
type parser struct {
	scope  scope
	tokens []string
	depth  int
}

var precedence = [][]string{{"|"}, {"^"}, {"&"}, {"<<", ">>"}, {"+", "-"}, {"*", "/"}}

func (p *parser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *parser) next() string {
	t := p.peek()
	if t != "" {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *parser) binary(level int) (int64, error) {
	if level == len(precedence) {
		return p.unary()
	}
	left, err := p.binary(level + 1)
	for err == nil && slices.Contains(precedence[level], p.peek()) {
		op := p.next()
		var right int64
		if right, err = p.binary(level + 1); err == nil {
			left, err = apply(op, left, right)
		}
	}
	return left, err
}

func apply(op string, a, b int64) (int64, error) {
	switch op {
	case "|":
		return a | b, nil
	case "^":
		return a ^ b, nil
	case "&":
		return a & b, nil
	case "<<":
		return a << (uint64(b) & 63), nil
	case ">>":
		return a >> (uint64(b) & 63), nil
	case "+":
		return a + b, nil
	case "-":
		return a - b, nil
	case "*":
		return a * b, nil
	}
	if b == 0 {
		return 0, errNotConstant
	}
	return a / b, nil
}

func (p *parser) unary() (int64, error) {
	t := p.next()
	switch {
	case t == "-" || t == "~" || t == "+":
		v, err := p.unary()
		switch t {
		case "-":
			v = -v
		case "~":
			v = ^v
		}
		return v, err
	case t == "(":
		v, err := p.binary(0)
		if err == nil && p.next() != ")" {
			err = errNotConstant
		}
		return v, err
	case strings.HasPrefix(t, "sizeof"):
		inner := strings.Trim(strings.TrimPrefix(t, "sizeof"), " ()")
		if v, ok := sizes[strings.Join(strings.Fields(inner), " ")]; ok {
			return v, nil
		}
		return 0, fmt.Errorf("%w: sizeof %q", errNotConstant, inner)
	case t != "" && t[0] >= '0' && t[0] <= '9':
		return strconv.ParseInt(strings.TrimRight(t, "uUlL"), 0, 64)
	}
	return p.name(t)
}

// name evaluates a constant, or a function-like macro by putting the text of its arguments in.
func (p *parser) name(t string) (int64, error) {
	d, ok := p.scope.find(t)
	if !ok {
		return 0, errNotConstant
	}
	if d.params == nil {
		return p.scope.eval(d.body, p.depth+1)
	}
	if p.next() != "(" {
		return 0, errNotConstant
	}
	var args []string
	for arg, nested := "", 0; ; {
		t := p.next()
		switch {
		case t == "":
			return 0, errNotConstant
		case nested == 0 && (t == "," || t == ")"):
			args = append(args, arg)
			arg = ""
			if t == ")" {
				return p.call(d, args)
			}
			continue
		case t == "(":
			nested++
		case t == ")":
			nested--
		}
		arg += t + " "
	}
}

func (p *parser) call(d definition, args []string) (int64, error) {
	if len(args) != len(d.params) {
		return 0, errNotConstant
	}
	body := d.body
	for i, name := range d.params {
		word := regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`)
		body = word.ReplaceAllLiteralString(body, strings.TrimSpace(args[i]))
	}
	return p.scope.eval(body, p.depth+1)
}
