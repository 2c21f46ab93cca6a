package embedded

import (
	"strings"
	"unicode"
)

// spaceless are the scripts written without spaces between words. The index
// takes a run of their characters for one word, so such words are looked for
// in the text itself.
var spaceless = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

// keyword is a search in log bodies.
type keyword struct {
	match    string   // in the syntax of FTS5; "" for none
	contains []string // texts that must occur
}

// parseKeyword turns any text into a search. Every word is quoted, so that
// nothing in it can be taken for syntax.
func parseKeyword(text string) keyword {
	text = strings.ToValidUTF8(text, "\uFFFD")
	var k keyword
	var terms []string
	for rest := text; rest != ""; {
		start := strings.IndexFunc(rest, isWord)
		if start < 0 {
			break
		}
		word := rest[start:]
		if end := strings.IndexFunc(word, func(r rune) bool { return !isWord(r) }); end >= 0 {
			word = word[:end]
		}
		rest = rest[start+len(word):]
		switch {
		case strings.ContainsFunc(word, isSpaceless):
			k.contains = append(k.contains, word)
		case strings.HasPrefix(rest, "*"):
			terms = append(terms, `"`+word+`"*`)
		default:
			terms = append(terms, `"`+word+`"`)
		}
	}
	k.match = strings.Join(terms, " ")
	if rest := strings.TrimSpace(text); len(terms)+len(k.contains) == 0 && rest != "" {
		k.contains = []string{rest}
	}
	return k
}

func isWord(r rune) bool { return unicode.In(r, unicode.L, unicode.M, unicode.N) }

func isSpaceless(r rune) bool { return unicode.In(r, spaceless...) }
