package logmine

import (
	"strings"
)

// MinerOptions bound a Miner.
type MinerOptions struct {
	MaxTemplates int     // default 2,000; texts beyond match an old one or none
	MaxTokens    int     // of a text that are looked at; default 64
	Similarity   float64 // part of equal words to be of one template; default 0.7
}

// Miner finds the templates behind texts: words that stay and places, written
// <*>, that vary. It follows Drain (He, Zhu, Zheng, Lyu: Drain: An Online Log
// Parsing Approach with Fixed Depth Tree, ICWS 2017): texts are led by what
// rarely varies to a group of templates, and join the most similar one. What
// leads them is their number of words and their first word that does not vary,
// and beyond Drain the level they were written with and the place in the code
// that wrote them, where they name those; then their number of words may vary.
// It is not safe for concurrent use.
type Miner struct {
	opts      MinerOptions
	templates []template
	groups    map[string][]int // numbers of templates
	places    map[string]int   // how many lines of a source are known
	known     map[string]bool  // places
	tokens    []token          // of the text at hand, kept for the next
	bytes     []byte           // behind them
	key       []byte
}

type template struct {
	words []string
	tells []bool // words by which texts are told apart
	open  bool   // texts go on differently, and by more or fewer words
}

const wildcard = "<*>"

// maxLines is how many places one source may name before what looks like a
// line is taken for a value.
const maxLines = 256

// NewMiner makes an empty Miner.
func NewMiner(opts MinerOptions) *Miner {
	if opts.MaxTemplates <= 0 {
		opts.MaxTemplates = 2000
	}
	if opts.MaxTokens <= 0 {
		opts.MaxTokens = 64
	}
	if opts.Similarity <= 0 {
		opts.Similarity = 0.7
	}
	return &Miner{opts: opts, groups: map[string][]int{}, places: map[string]int{}, known: map[string]bool{}}
}

// Add gives the number of the text's template, a new one if none is similar;
// false if the text is empty or there is no room for another.
func (m *Miner) Add(text string) (int, bool) {
	m.tokenise(text)
	if len(m.tokens) == 0 {
		return 0, false
	}
	located := m.lead()
	best, score := -1, -1.0
	for _, n := range m.groups[string(m.key)] {
		if s := m.templates[n].similarity(m.tokens); s > score {
			best, score = n, s
		}
	}
	if best >= 0 && score >= m.opts.Similarity {
		m.templates[best].join(m.tokens)
		return best, true
	}
	if len(m.templates) >= m.opts.MaxTemplates {
		return 0, false
	}
	var t template
	for _, tok := range m.tokens {
		t.words = append(t.words, string(tok.text))
		t.tells = append(t.tells, tok.tells)
	}
	m.templates = append(m.templates, t)
	n := len(m.templates) - 1
	key := string(m.key)
	m.groups[key] = append(m.groups[key], n)
	if located != "" && !m.known[located] && len(m.known) < 16*m.opts.MaxTemplates {
		m.known[located] = true
		m.places[source(located)]++
	}
	return n, true
}

// Text is the template as it is now. It may have become more general since.
func (m *Miner) Text(n int) string {
	t := m.templates[n]
	if t.open {
		return strings.Join(t.words, " ") + " " + wildcard
	}
	return strings.Join(t.words, " ")
}

// leading is how many words may stand before the level and the place.
const leading = 12

// lead sets the key of the group the tokens belong to, and gives the place in
// the code they name, "" if none.
func (m *Miner) lead() string {
	m.key = m.key[:0]
	level, first := "", -1
	for i, t := range m.tokens[:min(len(m.tokens), leading)] {
		if level == "" {
			level = levelOf(t.raw)
		}
		if place := placeOf(t.raw); place != "" && (m.known[place] || m.places[source(place)] < maxLines) {
			m.tokens[i].text, m.tokens[i].steady, m.tokens[i].tells = []byte(t.raw), true, true
			m.key = append(append(append(m.key, level...), '\n'), place...)
			return place
		}
		if first < 0 && t.tells {
			first = i
		}
	}
	m.key = append(m.key, level...)
	m.key = append(m.key, ' ', byte(len(m.tokens)), byte(len(m.tokens)>>8), ' ')
	if first >= 0 {
		m.key = append(m.key, byte(first))
		m.key = append(m.key, m.tokens[first].text...)
	}
	return ""
}

// similarity is the part of the telling words that are equal.
func (t *template) similarity(tokens []token) float64 {
	n := min(len(t.words), len(tokens))
	same, telling, expected := 0, 0, 0
	for i := range n {
		if t.tells[i] && t.words[i] != wildcard {
			expected++
		}
		if !tokens[i].tells {
			continue
		}
		telling++
		if t.words[i] == string(tokens[i].text) {
			same++
		}
	}
	if whole := max(telling, expected); whole > 0 {
		return float64(same) / float64(whole)
	}
	return 1 // nothing but values in both
}

func (t *template) join(tokens []token) {
	if n := min(len(t.words), len(tokens)); n < len(t.words) || n < len(tokens) {
		t.words, t.open = t.words[:n], true
	}
	for i, w := range t.words {
		if w != wildcard && w != string(tokens[i].text) {
			t.words[i] = wildcard
		}
	}
}
