// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// installedHeaders is linux-libc-dev's root.
const installedHeaders = "/usr/include"

// The installed headers must not hold a pair that the committed table lacks,
// or names otherwise.
func TestTableCoversInstalledHeaders(t *testing.T) {
	rows, err := scanAll([]string{installedHeaders})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		o, ok := sockopt.Lookup(r.level, r.code, sockopt.Where{Family: r.family})
		if !ok || o.Name != r.name {
			t.Errorf("%s (%s): the table has %q for level %d, option %d", r.name, r.header, o.Name, r.level, r.code)
		}
	}
	if len(rows) < 450 {
		t.Errorf("only %d options in %s", len(rows), installedHeaders)
	}
}

// A header that a rule reads must be there, unless it is one of those that not
// every kernel has.
func TestRulesFindTheirHeaders(t *testing.T) {
	optional := []string{"linux/netrom.h", "linux/rose.h", "linux/dccp.h"} // removed between 5.10 and 7.2
	tree := newTree(installedHeaders)
	for _, r := range rules {
		if r.internal || slices.Contains(optional, r.header) {
			continue
		}
		if h, err := tree.header(r.header); err != nil || h == nil {
			t.Errorf("%s: %v", r.header, err)
		}
	}
}

var solDefine = regexp.MustCompile(`(?m)^#\s*define\s+(SOL_\w+)\s+(\d+)`)

// Every level that the C library or a UAPI header defines has its name, and
// every header that defines one has a rule.
func TestLevelsOfInstalledHeaders(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(installedHeaders, "*", "bits", "socket.h"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no bits/socket.h: %v", err)
	}
	for _, pattern := range []string{"*.h", "*/*.h"} {
		more, err := filepath.Glob(filepath.Join(installedHeaders, "linux", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	manual := map[string]string{
		"SOL_IP": "IPPROTO_IP", "SOL_IPV6": "IPPROTO_IPV6", "SOL_TCP": "IPPROTO_TCP", "SOL_UDP": "IPPROTO_UDP",
	}
	checked := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range solDefine.FindAllStringSubmatch(string(text), -1) {
			want := m[1]
			if name, ok := manual[want]; ok {
				want = name
			}
			level, _ := strconv.Atoi(m[2])
			checked++
			if got := sockopt.LevelName(int32(level), sockopt.Where{}); got != want {
				t.Errorf("%s: level %d is %s, want %s", file, level, got, want)
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d levels found", checked)
	}
}

// The sizes that option numbers are made of are the C compiler's.
func TestTypeSizesAgreeWithCompiler(t *testing.T) {
	var source strings.Builder
	source.WriteString("#include <sys/socket.h>\n#include <linux/atm.h>\n#include <linux/atmdev.h>\n")
	for name, size := range sizes {
		source.WriteString("_Static_assert(sizeof(" + name + ") == " + strconv.FormatInt(size, 10) + ", \"" + name + "\");\n")
	}
	file := filepath.Join(t.TempDir(), "sizes.c")
	if err := os.WriteFile(file, []byte(source.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-fsyntax-only", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestParseAndEvaluate(t *testing.T) {
	h := parseHeader(strings.ReplaceAll(`
#ifndef GUARD_H
#define GUARD_H
#define BASE	64 /* a comment
                      over lines */
#define INFO (BASE) // another
#define NEXT (BASE + \
	1)
#define ENCODE(l,n,t)	((((l) & 0x1FF) << 22) | ((n) << 16) | sizeof(t))
#define SO_CODED	ENCODE(264,2,struct atm_qos)
#define TWICE 1
#define TWICE 2
#define TEXT "no number"
enum { ZERO, ONE, FIVE = 5, SIX, SEVEN = BASE + 7, EIGHT };
enum named {
#define FIRST @
	FIRST = 1,	/* (1) */
	SECOND,
};
#define MASK	(~0x0fUL | 1)
#endif
`, "@", "FIRST")) // enums of the UAPI define their members as themselves
	s := scope{own: h}
	for name, want := range map[string]int64{
		"BASE": 64, "INFO": 64, "NEXT": 65, "SO_CODED": 0x42020054, "TWICE": 1, "ZERO": 0, "ONE": 1, "FIVE": 5,
		"SIX": 6, "SEVEN": 71, "EIGHT": 72, "FIRST": 1, "SECOND": 2, "MASK": ^0x0f | 1,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := s.value(name); err != nil || got != want {
				t.Errorf("got %d, %v, want %d", got, err, want)
			}
		})
	}
	for _, name := range []string{"TEXT", "GUARD_H", "ENCODE", "MISSING"} {
		t.Run(name, func(t *testing.T) {
			if got, err := s.value(name); err == nil {
				t.Errorf("got %d, want an error", got)
			}
		})
	}
}

func TestConflictingNamesAreAnError(t *testing.T) {
	_, err := unite([]row{{level: 1, code: 2, name: "A"}, {level: 1, code: 2, name: "B"}})
	if err == nil {
		t.Error("two names for one number passed")
	}
}

func TestEveryLayoutHasOneName(t *testing.T) {
	if _, err := layoutOf(); err != nil {
		t.Error(err)
	}
}
