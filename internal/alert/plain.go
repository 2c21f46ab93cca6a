package alert

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// plain reads JSON that is laid out as programs write it, several times as fast
// as encoding/json and with the same result. Whatever it is not sure of makes
// it odd: then nothing it gave counts, and encoding/json decides. What it gives
// are parts of the text, not copies.
type plain struct {
	text  string
	at    int
	depth int // levels that may still be opened
	odd   bool
}

func newPlain(text string, depth int) *plain { return &plain{text: text, depth: depth} }

// done reports whether the whole text was read and nothing was odd.
func (p *plain) done() bool {
	p.space()
	return !p.odd && p.at == len(p.text)
}

func (p *plain) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\n', '\t', '\r':
			p.at++
		default:
			return
		}
	}
}

// next skips space and gives the character there, 0 at the end.
func (p *plain) next() byte {
	p.space()
	if p.at < len(p.text) && !p.odd {
		return p.text[p.at]
	}
	return 0
}

// take reads the character, which must be next.
func (p *plain) take(c byte) {
	if p.next() != c {
		p.odd = true
		return
	}
	p.at++
}

// members reads an object; member reads the value of each.
func (p *plain) members(member func(name string)) {
	p.list('{', '}', func() {
		if p.next() != '"' {
			p.odd = true
			return
		}
		name := p.str()
		if p.take(':'); !p.odd {
			member(name)
		}
	})
}

// elements reads a list; element reads each.
func (p *plain) elements(element func()) { p.list('[', ']', element) }

func (p *plain) list(from, to byte, element func()) {
	p.take(from)
	if p.depth--; p.depth < 0 {
		p.odd = true
	}
	defer func() { p.depth++ }()
	for first := true; !p.odd; first = false {
		switch {
		case p.next() == to && first:
			p.at++
			return
		case first:
		case p.next() == to:
			p.at++
			return
		default:
			p.take(',')
		}
		if !p.odd {
			element()
		}
	}
}

// str reads a string.
func (p *plain) str() string {
	s, simple := p.raw()
	if simple || p.odd {
		return s
	}
	out := make([]byte, 0, len(s))
	for len(s) > 0 && !p.odd {
		plain, escape, some := strings.Cut(s, `\`)
		out, s = append(out, plain...), escape
		if !some {
			break
		}
		var r rune
		r, s = p.escape(s)
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

// escapes are the characters that a letter after a backslash stands for.
var escapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape gives what follows a backslash, and the rest. Halves of characters are
// odd.
func (p *plain) escape(s string) (rune, string) {
	if r, ok := escapes[s[0]]; ok {
		return r, s[1:]
	}
	if s[0] != 'u' || len(s) < 5 {
		p.odd = true
		return 0, ""
	}
	n, err := strconv.ParseUint(s[1:5], 16, 32)
	p.odd = p.odd || err != nil || utf16.IsSurrogate(rune(n))
	return rune(n), s[5:]
}

// raw reads a string and gives it as it is written; simple says that it means
// just that.
func (p *plain) raw() (s string, simple bool) {
	p.take('"')
	simple = true
	wide := false
	for from := p.at; p.at < len(p.text) && !p.odd; p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			s = p.text[from:p.at]
			p.at++
			p.odd = wide && !utf8.ValidString(s) // encoding/json would mend it
			return s, simple
		case c == '\\':
			simple = false
			p.at++
		case c < ' ':
			p.odd = true
		case c >= utf8.RuneSelf:
			wide = true
		}
	}
	p.at, p.odd = min(p.at, len(p.text)), true
	return "", false
}

// pass reads a string of which only the place is wanted.
func (p *plain) pass() {
	s, simple := p.raw()
	for at := 0; !simple && !p.odd; {
		next := strings.IndexByte(s[at:], '\\')
		if next < 0 {
			return
		}
		_, rest := p.escape(s[at+next+1:])
		at = len(s) - len(rest)
	}
}

// strs reads an object of strings.
func (p *plain) strs() map[string]string {
	out := map[string]string{}
	p.members(func(name string) { out[name] = p.str() })
	return out
}

// number reads a number and gives it as it is written.
func (p *plain) number() string {
	p.space()
	from := p.at
	if p.at < len(p.text) && p.text[p.at] == '-' {
		p.at++
	}
	whole := p.digits()
	p.odd = p.odd || whole == 0 || whole > 1 && p.text[p.at-whole] == '0'
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		p.odd = p.digits() == 0 || p.odd
	}
	if p.at < len(p.text) && (p.text[p.at] == 'e' || p.text[p.at] == 'E') {
		p.at++
		if p.at < len(p.text) && (p.text[p.at] == '+' || p.text[p.at] == '-') {
			p.at++
		}
		p.odd = p.digits() == 0 || p.odd
	}
	return p.text[from:p.at]
}

func (p *plain) digits() (n int) {
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
		n++
	}
	return n
}

func (p *plain) integer() int64 {
	n, err := strconv.ParseInt(p.number(), 10, 64)
	p.odd = p.odd || err != nil
	return n
}

func (p *plain) float() *float64 {
	f, err := strconv.ParseFloat(p.number(), 64)
	p.odd = p.odd || err != nil
	return &f
}

// flag reads true; what is false is left out by who writes it.
func (p *plain) flag() bool { return p.word("true") }

func (p *plain) word(word string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.at:], word) {
		p.odd = true
		return false
	}
	p.at += len(word)
	return true
}

// time reads a time as time.Time writes it.
func (p *plain) time() (t time.Time) {
	s, simple := p.raw()
	if !simple || t.UnmarshalText([]byte(s)) != nil {
		p.odd = true
	}
	return t
}

// value reads any value and gives it as it is written.
func (p *plain) value() string {
	c := p.next()
	from := p.at
	switch c {
	case '{':
		p.members(func(string) { p.value() })
	case '[':
		p.elements(func() { p.value() })
	case '"':
		p.pass()
	case 't':
		p.word("true")
	case 'f':
		p.word("false")
	case 'n':
		p.word("null")
	default:
		p.number()
	}
	if p.odd {
		return ""
	}
	return p.text[from:p.at]
}

// once is for a member that must not come twice, bit n of seen being its own.
func (p *plain) once(seen *uint64, n int) {
	p.odd = p.odd || *seen&(1<<n) != 0
	*seen |= 1 << n
}

// skip passes over a member that has none of the names; encoding/json does not
// tell capitals from small letters.
func (p *plain) skip(name string, names ...string) {
	for _, known := range names {
		if strings.EqualFold(name, known) {
			p.odd = true
		}
	}
	p.value()
}
