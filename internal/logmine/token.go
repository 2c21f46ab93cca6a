package logmine

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// token is a word of a text.
type token struct {
	raw    string
	text   []byte // with what varies masked
	steady bool   // nothing of it varies
	tells  bool   // steady, and not only the name of a value or the level
}

// tokenise takes a text apart into m.tokens, at most MaxTokens.
func (m *Miner) tokenise(text string) {
	m.tokens, m.bytes = m.tokens[:0], m.bytes[:0]
	for at := 0; at < len(text) && len(m.tokens) < m.opts.MaxTokens; {
		from := at
		for at < len(text) && !blank(text[at]) {
			at++
		}
		if at > from {
			m.token(text[from:at])
		}
		at++
	}
	m.telling()
}

// telling marks the words that tell texts apart. Names of values, as in
// "request: 17", and levels stand in many; where a text has nothing else, they
// have to do.
func (m *Miner) telling() {
	found := false
	for i := range m.tokens {
		t := &m.tokens[i]
		name := t.raw[len(t.raw)-1] == ':' && i+1 < len(m.tokens) && !m.tokens[i+1].steady
		t.tells = t.steady && !name && levelOf(t.raw) == ""
		found = found || t.tells
	}
	for i := range m.tokens {
		m.tokens[i].tells = m.tokens[i].tells || !found && m.tokens[i].steady
	}
}

func blank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// token masks the part of a word that is a number or an identifier, and leaves
// the brackets, quotes and name before = around it.
func (m *Miner) token(raw string) {
	start, end := 0, len(raw)
	if i := strings.IndexByte(raw, '='); i >= 0 {
		start = i + 1
	}
	for start < end && mark(raw[start]) {
		start++
	}
	for start < end && mark(raw[end-1]) {
		end--
	}
	from := len(m.bytes)
	steady := start >= end || !varies(raw[start:end])
	if steady {
		m.bytes = append(m.bytes, raw...)
	} else {
		m.bytes = append(m.bytes, raw[:start]...)
		m.bytes = append(m.bytes, wildcard...)
		m.bytes = append(m.bytes, raw[end:]...)
		steady = start > 0 || end < len(raw) // what stands around it stays
	}
	// Should bytes grow, tokens made before keep the old ones.
	m.tokens = append(m.tokens, token{raw: raw, text: m.bytes[from:len(m.bytes):len(m.bytes)], steady: steady})
}

func mark(c byte) bool {
	switch c {
	case '"', '\'', '(', ')', '[', ']', '{', '}', '<', '>', ',', ';', ':', '.', '!', '?':
		return true
	}
	return false
}

// varies reports whether a word is more likely a value than a word of the
// program: anything with a digit in it, except short names such as utf8, s3
// or http2, which have one digit at their end.
func varies(word string) bool {
	first := -1
	for i := 0; i < len(word) && first < 0; i++ {
		switch c := word[i]; {
		case c >= '0' && c <= '9':
			first = i
		case c >= utf8.RuneSelf:
			if first = strings.IndexFunc(word[i:], unicode.IsDigit); first < 0 {
				return false
			}
			first += i
		}
	}
	if first < 0 {
		return false
	}
	if first == 0 || first != len(word)-1 || len(word) > 6 {
		return true
	}
	for i := range first {
		if c := word[i] | 0x20; c < 'a' || c > 'z' {
			return true
		}
	}
	return false
}

// levelOf is the level a word stands for, in lower case, "" if none.
func levelOf(word string) string {
	if len(word) > 14 {
		return ""
	}
	if i := strings.IndexByte(word, '='); i >= 0 { // level=info
		if !strings.EqualFold(word[:i], "level") && !strings.EqualFold(word[:i], "severity") && !strings.EqualFold(word[:i], "lvl") {
			return ""
		}
		word = word[i+1:]
	}
	for len(word) > 0 && mark(word[0]) {
		word = word[1:]
	}
	for len(word) > 0 && mark(word[len(word)-1]) {
		word = word[:len(word)-1]
	}
	if len(word) < 3 || len(word) > 8 {
		return ""
	}
	for _, l := range levels {
		if strings.EqualFold(word, l) {
			return l
		}
	}
	return ""
}

var levels = []string{
	"info", "warn", "error", "debug", "trace", "fatal", "warning", "critical", "notice", "severe", "panic", "err", "crit",
}

// sources are how names of source files end.
var sources = []string{
	".go", ".java", ".kt", ".scala", ".py", ".js", ".ts", ".cs", ".rb", ".rs", ".c", ".cc", ".cpp", ".h", ".php", ".ex", ".erl", ".swift",
}

// placeOf is the place in the code a word names, as Class#12 or file.go:12; ""
// if none.
func placeOf(word string) string {
	for len(word) > 0 && mark(word[0]) {
		word = word[1:]
	}
	for len(word) > 0 && mark(word[len(word)-1]) {
		word = word[:len(word)-1]
	}
	at := len(word)
	for at > 0 && word[at-1] >= '0' && word[at-1] <= '9' {
		at--
	}
	if digits := len(word) - at; at < 2 || digits == 0 || digits > 6 {
		return ""
	}
	name := word[:at-1]
	if c := name[0] | 0x20; (c < 'a' || c > 'z') && c != '/' && c != '_' {
		return ""
	}
	switch word[at-1] {
	case '#':
		if strings.ContainsAny(name, ".ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			return word
		}
	case ':':
		for _, s := range sources {
			if strings.HasSuffix(name, s) {
				return word
			}
		}
	}
	return ""
}

// source is a place without its line.
func source(place string) string { return place[:strings.LastIndexAny(place, "#:")] }
