package logmine

import (
	"strings"
	"unicode"
)

// words writes a line in lower case with one space before, between and after
// its words, so that wording can be compared across styles: compound names are
// taken apart, "HikariPool-1: OutOfMemoryError" gives
// " hikari pool 1 out of memory error ".
func words(line string) string {
	var b strings.Builder
	b.Grow(len(line) + 16)
	b.WriteByte(' ')
	runes := []rune(line)
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			if r != '\'' && i > 0 && isWord(runes[i-1]) { // can't is one word
				b.WriteByte(' ')
			}
			continue
		case i > 0 && humpAt(runes, i):
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	if len(runes) > 0 && isWord(runes[len(runes)-1]) {
		b.WriteByte(' ')
	}
	return b.String()
}

// humpAt reports whether a new word begins at i within a compound name: at a
// capital after a small letter, and at the last of several capitals.
func humpAt(runes []rune, i int) bool {
	if !unicode.IsUpper(runes[i]) || !unicode.IsLetter(runes[i-1]) {
		return false
	}
	if unicode.IsLower(runes[i-1]) {
		return true
	}
	return i+1 < len(runes) && unicode.IsLower(runes[i+1])
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\'' }
