// SPDX-License-Identifier: Apache-2.0

package workload

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// Escape returns s with every byte that is not part of valid UTF-8 replaced by \xNN: OTLP
// strings must be UTF-8, and a backend rejects the whole batch if one is not. Valid text
// does not change, backslashes included.
func Escape(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string(AppendEscaped(make([]byte, 0, len(s)+16), s))
}

// AppendEscaped appends the result of [Escape] to b.
func AppendEscaped[T string | []byte](b []byte, s T) []byte {
	for i := 0; i < len(s); {
		r, size := decodeRune(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, '\\', 'x', hexDigits[s[i]>>4], hexDigits[s[i]&15])
		} else {
			b = append(b, s[i:i+size]...)
		}
		i += size
	}
	return b
}

func decodeRune[T string | []byte](s T) (rune, int) {
	if s[0] < utf8.RuneSelf {
		return rune(s[0]), 1
	}
	return utf8.DecodeRuneInString(string(s[:min(len(s), utf8.UTFMax)]))
}

// truncate returns at most the first limit bytes of s, as the BPF programs do, without the
// bytes of a character that would be split.
func truncate(s string, limit int) string {
	if len(s) < limit {
		return s
	}
	s = s[:limit]
	for i := len(s) - 1; i >= 0 && i > len(s)-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			if !utf8.FullRuneInString(s[i:]) {
				return s[:i]
			}
			break
		}
	}
	return s
}
