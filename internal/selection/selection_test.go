// SPDX-License-Identifier: Apache-2.0

package selection

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestGlob(t *testing.T) {
	for pattern, names := range map[string]map[string]bool{
		"nginx":     {"nginx": true, "nginx2": false, "ngin": false, "": false},
		"nginx*":    {"nginx": true, "nginx2": true, "xnginx": false},
		"*":         {"": true, "a": true},
		"python3.*": {"python3.11": true, "python3": false},
		"?":         {"a": true, "": false, "ab": false},
		"*b*":       {"abc": true, "ac": false, "b": true},
		"a*b*c":     {"abc": true, "aXbYc": true, "acb": false, "abcc": true},
		"[a-c]x":    {"ax": true, "cx": true, "dx": false},
		"[^a-c]x":   {"ax": false, "dx": true},
		// path.Match refuses these.
		"[]a]": {}, "[": {}, "[^": {}, "[a": {}, "[a-": {}, "[a-]": {}, `[a-\`: {}, `[\`: {}, `\`: {},
		`\*x`:     {"*x": true, "ax": false},
		`[\]a]`:   {"]": true, "a": true, "b": false},
		"caf\xe9": {"caf\xe9": true, "cafe": false},
		"**":      {"": true, "ab": true},
	} {
		t.Run(pattern, func(t *testing.T) {
			g, err := compileGlob(pattern)
			if _, want := path.Match(pattern, ""); (err != nil) != (want != nil) {
				t.Errorf("%q: error %v, path.Match returns %v", pattern, err, want)
				return
			}
			for name, want := range names {
				if got := g.Match(name); got != want {
					t.Errorf("%q matches %q: %t, want %t", pattern, name, got, want)
				}
			}
		})
	}
}

// For names of ASCII without slashes the table agrees with path.Match.
func FuzzGlob(f *testing.F) {
	f.Add("a*b?[c-e]", "axxbxd")
	f.Add("[^x]*", "y")
	f.Add(`\[a\]`, "[a]")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		for _, s := range []string{pattern, name} {
			if len(s) > 200 || strings.ContainsFunc(s, func(r rune) bool { return r > 126 || r < 1 || r == '/' }) {
				return
			}
		}
		want, err := path.Match(pattern, name)
		g, compiled := compileGlob(pattern)
		if err != nil {
			if compiled == nil {
				t.Fatalf("%q is accepted, path.Match returns %v", pattern, err)
			}
			return
		}
		if compiled != nil {
			return // too long, or empty
		}
		if got := g.Match(name); got != want {
			t.Fatalf("%q matches %q: %t, path.Match returns %t", pattern, name, got, want)
		}
	})
}

func TestCompile(t *testing.T) {
	r, err := Compile(
		List{Options: []string{"SOL_SOCKET/SO_ERROR", "IPPROTO_TCP/*", "6/11", "0x29/26"}, Users: []int{0}},
		List{Executables: []string{"sshd"}, Containers: []string{strings.Repeat("0123abcd", 8)}, Options: []string{"IPPROTO_TCP/TCP_INFO"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	for o, want := range map[Option]Effect{
		{Level: unix.SOL_SOCKET, Code: unix.SO_ERROR}:  EffectInclude,
		{Level: unix.SOL_TCP, Any: true}:               EffectInclude,
		{Level: unix.SOL_TCP, Code: unix.TCP_INFO}:     EffectInclude | EffectExclude,
		{Level: unix.SOL_IPV6, Code: unix.IPV6_V6ONLY}: EffectInclude,
	} {
		t.Run(fmt.Sprintf("level %d option %d any %t", o.Level, o.Code, o.Any), func(t *testing.T) {
			if r.Options[o] != want {
				t.Errorf("%+v: %b, want %b", o, r.Options[o], want)
			}
		})
	}
	if r.Ruled != SubjectOptions|SubjectUsers|SubjectExecutables|SubjectContainers || r.Included != SubjectOptions|SubjectUsers || len(r.Patterns) != 2 || r.Users[0] != EffectInclude {
		t.Errorf("got %+v, want four subjects ruled, options and users included, two patterns", r)
	}
}

func TestCompileRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		include, exclude List
		want             string
	}{
		"no level":        {include: List{Options: []string{"SO_ERROR"}}, want: `select::options: item 1, "SO_ERROR"`},
		"unknown level":   {include: List{Options: []string{"SOL_SOCKET/SO_ERROR", "SOL_SOX/SO_ERROR"}}, want: `item 2, "SOL_SOX/SO_ERROR": no level is named "SOL_SOX"`},
		"unknown option":  {exclude: List{Options: []string{"SOL_SOCKET/TCP_INFO"}}, want: `select::exclude::options: item 1, "SOL_SOCKET/TCP_INFO": level SOL_SOCKET has no option "TCP_INFO"`},
		"too many parts":  {include: List{Options: []string{"a/b/c"}}, want: "must be LEVEL/OPTION"},
		"bad glob":        {include: List{Executables: []string{"a[b"}}, want: `select::executables: item 1, "a[b": syntax error`},
		"empty glob":      {include: List{Executables: []string{""}}, want: "empty"},
		"long glob":       {include: List{Executables: []string{strings.Repeat("x", 64)}}, want: "more than 63"},
		"container":       {exclude: List{Containers: []string{"my-container"}}, want: `select::exclude::containers: item 1, "my-container"`},
		"short container": {include: List{Containers: []string{"abc"}}, want: "4 to 64"},
		"user":            {include: List{Users: []int{-1}}, want: `select::users: item 1, "-1"`},
		"many":            {include: List{Executables: strings.Split(strings.Repeat("a,", 300)+"a", ",")}, want: "at most 256"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile(test.include, test.exclude)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
