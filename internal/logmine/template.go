package logmine

import (
	"slices"
	"strings"
	"unicode"
)

// MinerOptions bound a Miner.
type MinerOptions struct {
	MaxTemplates int     // default 2,000; texts beyond match an old one or none
	MaxTokens    int     // of a text that are looked at; default 64
	Similarity   float64 // part of equal words to be of one template; default 0.5
}

// Miner finds the templates behind texts: words that stay and places, written
// <*>, that vary. It follows Drain (He, Zhu, Zheng, Lyu: Drain: An Online Log
// Parsing Approach with Fixed Depth Tree, ICWS 2017): texts are led by their
// number of words and their first word to a group of templates, and join the
// most similar one. It is not safe for concurrent use.
type Miner struct {
	opts      MinerOptions
	templates [][]string
	groups    map[group][]int // numbers of templates
}

type group struct {
	length int
	first  string
}

const wildcard = "<*>"

// NewMiner makes an empty Miner.
func NewMiner(opts MinerOptions) *Miner {
	if opts.MaxTemplates <= 0 {
		opts.MaxTemplates = 2000
	}
	if opts.MaxTokens <= 0 {
		opts.MaxTokens = 64
	}
	if opts.Similarity <= 0 {
		opts.Similarity = 0.5
	}
	return &Miner{opts: opts, groups: make(map[group][]int)}
}

// Add gives the number of the text's template, a new one if none is similar;
// false if the text is empty or there is no room for another.
func (m *Miner) Add(text string) (int, bool) {
	tokens := strings.Fields(text)
	if len(tokens) == 0 {
		return 0, false
	}
	tokens = tokens[:min(len(tokens), m.opts.MaxTokens)]
	for i, t := range tokens {
		tokens[i] = mask(t)
	}
	key := group{len(tokens), tokens[0]}
	best, score := -1, 0.0
	for _, n := range m.groups[key] {
		if s := similarity(m.templates[n], tokens); s > score {
			best, score = n, s
		}
	}
	if best >= 0 && score >= m.opts.Similarity {
		generalise(m.templates[best], tokens)
		return best, true
	}
	if len(m.templates) >= m.opts.MaxTemplates {
		return 0, false
	}
	m.templates = append(m.templates, tokens)
	n := len(m.templates) - 1
	m.groups[key] = append(m.groups[key], n)
	return n, true
}

// Text is the template as it is now. It may have become more general since.
func (m *Miner) Text(n int) string { return strings.Join(m.templates[n], " ") }

// similarity is the part of places that are equal. Places that vary in both
// count as equal, those that vary in one do not.
func similarity(template, tokens []string) float64 {
	same := 0
	for i, t := range template {
		if t == tokens[i] {
			same++
		}
	}
	return float64(same) / float64(len(template))
}

func generalise(template, tokens []string) {
	for i, t := range template {
		if t != tokens[i] {
			template[i] = wildcard
		}
	}
}

// mask replaces the part of a token that is a number or an identifier, and
// leaves the brackets, quotes and name before = around it.
func mask(token string) string {
	start, end := 0, len(token)
	if i := strings.IndexByte(token, '='); i >= 0 {
		start = i + 1
	}
	const marks = `"'()[]{}<>,;:.!?`
	for start < end && strings.IndexByte(marks, token[start]) >= 0 {
		start++
	}
	for start < end && strings.IndexByte(marks, token[end-1]) >= 0 {
		end--
	}
	if start < end && varies(token[start:end]) {
		return token[:start] + wildcard + token[end:]
	}
	return token
}

// varies reports whether a word is more likely a value than a word of the
// program: anything with a digit in it, except short names such as utf8, s3
// or http2, which have one digit at their end.
func varies(word string) bool {
	first := strings.IndexFunc(word, unicode.IsDigit)
	if first < 0 {
		return false
	}
	shortName := first == len(word)-1 && first > 0 && len(word) <= 6 &&
		!slices.ContainsFunc([]rune(word[:first]), func(r rune) bool { return !unicode.IsLetter(r) })
	return !shortName
}
