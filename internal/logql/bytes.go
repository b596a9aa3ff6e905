package logql

import (
	"strings"
	"unicode/utf8"
	"unsafe"
)

// bytesView returns b as a string that shares its memory: valid while b is not written.
func bytesView(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// nameByte reports whether c may stand in a label name.
func nameByte(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c)
}

// appendName appends key as part of a label name: every character that a name cannot hold
// becomes "_". White space around key is not part of it.
func appendName(dst []byte, key string) []byte {
	key = strings.TrimSpace(key)
	for i := 0; i < len(key); {
		if c := key[i]; c < utf8.RuneSelf {
			if !nameByte(c) {
				c = '_'
			}
			dst = append(dst, c)
			i++
			continue
		}
		_, n := utf8.DecodeRuneInString(key[i:])
		dst = append(dst, '_')
		i += n
	}
	return dst
}

// cleanText replaces invalid UTF-8 and U+FFFD in s by spaces. Text that has neither, which
// is nearly all, is returned as it is.
func cleanText(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			if !strings.ContainsRune(s[i:], utf8.RuneError) {
				return s
			}
			return strings.Map(func(r rune) rune {
				if r == utf8.RuneError {
					return ' '
				}
				return r
			}, s)
		}
	}
	return s
}
