// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

func itoa(i int64) string  { return strconv.FormatInt(i, 10) }
func utoa(u uint64) string { return strconv.FormatUint(u, 10) }

// bounded truncates a text to maxText characters, cutMark included. The texts of
// decoders are valid UTF-8.
func bounded(s string) string {
	if len(s) <= maxText || utf8.RuneCountInString(s) <= maxText {
		return s
	}
	left := maxText - utf8.RuneCountInString(cutMark)
	for i := range s {
		if left == 0 {
			return s[:i] + cutMark
		}
		left--
	}
	return s
}

// appendString appends bytes of a program: as they are if they are plain text, in
// quotes otherwise. Bytes that are not UTF-8 or not printable become \xNN. Spans and
// resources use another rule, see workload.Escape.
func appendString(dst, s []byte) []byte {
	if plain(s) {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	dst = appendEscaped(dst, s)
	return append(dst, '"')
}

// plain reports whether bytes read as one word of printable text.
func plain(s []byte) bool {
	if len(s) == 0 {
		return false
	}
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) || strings.ContainsRune(" \"\\{}=,", r) {
			return false
		}
		i += size
	}
	return true
}

func appendEscaped(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRune(s[i:])
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == utf8.RuneError && size == 1 || !unicode.IsPrint(r):
			for _, c := range s[i : i+size] {
				dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
			}
		default:
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return dst
}

// appendHex appends bytes as pairs of hexadecimal digits.
func appendHex(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	for _, c := range s {
		dst = append(dst, hex[c>>4], hex[c&15])
	}
	return dst
}

// appendMicroseconds appends a time in the format of Go: 1.234ms, 0s.
func appendMicroseconds(dst []byte, us uint64) []byte {
	if us > uint64(1<<63-1)/1000 { // past a time.Duration, 292 years
		return append(strconv.AppendUint(dst, us, 10), "µs"...)
	}
	return append(dst, (time.Duration(us) * time.Microsecond).String()...)
}

// flag is one bit, or a group of bits, with a name.
type flag struct {
	bit  uint64
	name string
}

// appendFlags appends the names of the bits that are set, and the rest in
// hexadecimal: A|B|0x100.
func appendFlags(dst []byte, flags []flag, u uint64) []byte {
	if u == 0 {
		return append(dst, '0')
	}
	start := len(dst)
	for _, f := range flags {
		if u&f.bit == f.bit {
			dst = append(appendBar(dst, start), f.name...)
			u &^= f.bit
		}
	}
	if u != 0 {
		dst = strconv.AppendUint(append(appendBar(dst, start), "0x"...), u, 16)
	}
	return dst
}

func appendBar(dst []byte, start int) []byte {
	if len(dst) > start {
		dst = append(dst, '|')
	}
	return dst
}
