// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzFormat goes through the table, FuzzLayout through the decoders, of which
// random pairs would rarely find one, and FuzzExpand through the structures.
// All hold: no panic, no byte read past those given, and a text that is short,
// valid and printable.

func FuzzFormat(f *testing.F) {
	for i := range table {
		f.Add(table[i].level, table[i].code, table[i].family, false, tcpInfoBytes(64), uint32(64))
	}
	f.Add(int32(1), int32(4), uint16(0), false, raw(int32(111)), uint32(4))
	f.Add(int32(-1), int32(-1), uint16(9999), true, []byte{}, ^uint32(0))
	f.Fuzz(func(t *testing.T, level, code int32, family uint16, compat bool, b []byte, n uint32) {
		w := Where{Family: family, Compat: compat}
		checkText(t, LevelName(level, w))
		o, ok := Lookup(level, code, w)
		if !ok {
			if o != (Option{}) {
				t.Errorf("got %+v of an unknown option, want none", o)
			}
			return
		}
		if o.Level != level || o.Code != code || o.Name == "" {
			t.Errorf("got %+v, want a name for (%d, %d)", o, level, code)
		}
		check(t, o, b, n, w)
	})
}

func FuzzLayout(f *testing.F) {
	for _, l := range layoutSeeds() {
		f.Add(uint8(l.layout), uint16(afInet), false, l.value, uint32(len(l.value)))
		f.Add(uint8(l.layout), uint16(afInet), true, l.value, uint32(2*len(l.value)))
	}
	f.Fuzz(func(t *testing.T, layout uint8, family uint16, compat bool, b []byte, n uint32) {
		l := Layout(layout) % layoutCount
		check(t, Option{Name: "FUZZ", Layout: l, Secret: l == LayoutSecret}, b, n, Where{Family: family, Compat: compat})
	})
}

func FuzzExpand(f *testing.F) {
	for l := range layouts {
		if s := layouts[l].fields; s != nil {
			f.Add(uint8(l), tcpInfoBytes(280)[:min(280, s.size)], uint32(s.size))
		}
	}
	f.Fuzz(func(t *testing.T, layout uint8, b []byte, n uint32) {
		o := Option{Name: "FUZZ", Layout: Layout(layout) % layoutCount}
		fields := Expand(o, b[:len(b):len(b)], n)
		if !reflect.DeepEqual(fields, Expand(o, beyond(b), n)) {
			t.Error("read past the bytes given")
		}
		for _, x := range Expand(o, b, n/2) { // of less, the same
			if !slices.Contains(fields, x) {
				t.Errorf("%+v of %d bytes, not of %d", x, n/2, n)
			}
		}
		names := make(map[string]bool)
		for _, x := range fields {
			checkText(t, x.Name)
			checkText(t, x.Text)
			if names[x.Name] {
				t.Errorf("%s twice", x.Name)
			}
			names[x.Name] = true
			if x.HasInt == (x.Text != "") {
				t.Errorf("%+v is not one of number and text", x)
			}
		}
	})
}

// check formats a value, twice: from just its bytes, where a read past them
// panics, and from the same with others behind them, which must not show.
func check(t *testing.T, o Option, b []byte, n uint32, w Where) {
	t.Helper()
	before := bytes.Clone(b)
	v := o.Format(b[:len(b):len(b)], n, w)
	if !bytes.Equal(b, before) {
		t.Error("the bytes were written to")
	}
	if again := o.Format(beyond(b), n, w); again != v {
		t.Errorf("%+v with other bytes behind, otherwise %+v", again, v)
	}
	checkText(t, v.Text)
	switch {
	case o.Secret && v != (Value{Text: Redacted}):
		t.Errorf("%+v of a secret", v)
	case v.HasInt && v.Text == "", !v.HasInt && v.Int != 0:
		t.Errorf("got %+v, want a text with each number", v)
	}
}

// beyond is b with other bytes behind it in memory.
func beyond(b []byte) []byte {
	longer := append(bytes.Clone(b), bytes.Repeat([]byte{0xa5}, 64)...)
	return longer[:len(b)]
}

func checkText(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxText {
		t.Errorf("%d characters, %t: %q", utf8.RuneCountInString(s), utf8.ValidString(s), s)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			t.Errorf("%q in %q", r, s)
		}
	}
}

// seed is a value of a layout.
type seed struct {
	layout Layout
	value  []byte
}

// layoutSeeds is one value for each layout, as long as it may be.
func layoutSeeds() []seed {
	seeds := make([]seed, layoutCount)
	for l := range layoutCount {
		b := zeros(min(int(l.maxCopy()), 256))
		for i := range b {
			b[i] = byte(i % 3)
		}
		seeds[l] = seed{l, b}
	}
	return seeds
}
