// Package logmine reads log records for what root cause analysis needs: how
// many are errors, which templates they follow, which known troubles they
// speak of and which stack traces they hold, each against a baseline.
//
// Its one invariant: the same records give the same summary, whatever text
// they hold; no text is trusted to have a form. It is pure. It knows general
// wording of programs, never the messages of one system, and it is not for
// judging causes (see cause) or keeping logs (see telemetry).
package logmine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Summary is what a set of records says.
type Summary struct {
	Records         int        `json:"records"`
	Errors          int        `json:"errors"`
	BaselineRecords int        `json:"baseline_records"`
	BaselineErrors  int        `json:"baseline_errors"`
	First           time.Time  `json:"first,omitzero"`
	Last            time.Time  `json:"last,omitzero"`
	Patterns        []Finding  `json:"patterns,omitempty"`  // most frequent first
	Templates       []Template `json:"templates,omitempty"` // most frequent first, at most MaxTemplates
	Stacks          []Trace    `json:"stacks,omitempty"`    // most frequent first
	Changes         []Change   `json:"changes,omitempty"`   // against the baseline, errors first, at most MaxChanges
	Text            string     `json:"text"`                // for people
}

// MaxTemplates is the most templates a Summary names.
const MaxTemplates = 50

// Tally counts the records that share something.
type Tally struct {
	Count    int            `json:"count"`
	Errors   int            `json:"errors"` // of Count
	First    time.Time      `json:"first"`
	Last     time.Time      `json:"last"`
	Example  heal.LogRecord `json:"example"`  // the newest
	Baseline int            `json:"baseline"` // records of the baseline that share it
	// Share and BaselineShare are the parts of all records, 0 to 1; the
	// baseline may be of another length.
	Share         float64 `json:"share"`
	BaselineShare float64 `json:"baseline_share"`
}

// New reports whether the baseline has none of it, and is not empty itself.
func (t Tally) New(s Summary) bool { return t.Baseline == 0 && s.BaselineRecords > 0 }

// Finding is a known trouble that records speak of.
type Finding struct {
	Pattern Pattern `json:"pattern"`
	Tally
}

// Template is a text that records share but for the places marked <*>.
type Template struct {
	Text string `json:"text"`
	Tally
}

// Trace is a stack trace that records share.
type Trace struct {
	Stack
	Tally
}

// Summarise reads records, and the baseline they are compared with: records of
// the same sources from a time when all was well. Both may be in any order.
func Summarise(records, baseline []heal.LogRecord) Summary {
	c := newCounter(len(records), len(baseline))
	for _, r := range byTime(baseline) {
		c.add(r, true)
	}
	for _, r := range byTime(records) {
		c.add(r, false)
	}
	return c.summary()
}

// byTime sorts a copy of the records oldest first, so that the order in which
// they came has no say.
func byTime(records []heal.LogRecord) []heal.LogRecord {
	sorted := slices.Clone(records)
	slices.SortStableFunc(sorted, func(a, b heal.LogRecord) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Body, b.Body))
	})
	return sorted
}

// counter gathers a Summary.
type counter struct {
	sum       Summary
	patterns  map[Pattern]*Tally
	templates map[int]*Tally // by number in the miner
	stacks    map[Stack]*Tally
	miner     *Miner
}

func newCounter(records, baseline int) *counter {
	return &counter{
		sum:       Summary{Records: records, BaselineRecords: baseline},
		patterns:  make(map[Pattern]*Tally),
		templates: make(map[int]*Tally),
		stacks:    make(map[Stack]*Tally),
		miner:     NewMiner(MinerOptions{}),
	}
}

func (c *counter) add(r heal.LogRecord, baseline bool) {
	text := read(r)
	stack, hasStack := ParseStack(text.full)
	failed := text.failed || hasStack && r.Severity == 0
	switch {
	case baseline && failed:
		c.sum.BaselineErrors++
	case failed:
		c.sum.Errors++
	}
	if !baseline {
		if c.sum.First.IsZero() {
			c.sum.First = r.Time
		}
		c.sum.Last = r.Time
	}
	for _, p := range Match(text.full, failed || text.warned) {
		count(c.patterns, p, r, failed, baseline)
	}
	if n, ok := c.miner.Add(text.message); ok {
		count(c.templates, n, r, failed, baseline)
	}
	if hasStack {
		stack.Message = "" // it often varies; the example has it
		count(c.stacks, stack, r, failed, baseline)
	}
}

func count[K comparable](into map[K]*Tally, key K, r heal.LogRecord, failed, baseline bool) {
	t := into[key]
	if t == nil {
		t = &Tally{}
		into[key] = t
	}
	if baseline {
		t.Baseline++
		return
	}
	if t.Count == 0 {
		t.First = r.Time
	}
	t.Count++
	t.Last, t.Example = r.Time, r
	if failed {
		t.Errors++
	}
}

func (c *counter) summary() Summary {
	s := c.sum
	for p, t := range c.patterns {
		if t.Count > 0 {
			s.Patterns = append(s.Patterns, Finding{p, t.shared(s)})
		}
	}
	for n, t := range c.templates {
		if t.Count > 0 {
			s.Templates = append(s.Templates, Template{c.miner.Text(n), t.shared(s)})
		}
	}
	for stack, t := range c.stacks {
		if t.Count > 0 {
			s.Stacks = append(s.Stacks, Trace{stack, t.shared(s)})
		}
	}
	slices.SortFunc(s.Patterns, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Pattern, b.Pattern))
	})
	slices.SortFunc(s.Templates, func(a, b Template) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text))
	})
	slices.SortFunc(s.Stacks, func(a, b Trace) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), a.compare(b.Stack))
	})
	s.Templates = s.Templates[:min(len(s.Templates), MaxTemplates)]
	s.Changes = c.changes()
	s.Text = describe(s)
	return s
}

func (t *Tally) shared(s Summary) Tally {
	out := *t
	out.Share = float64(t.Count) / float64(max(s.Records, 1))
	out.BaselineShare = float64(t.Baseline) / float64(max(s.BaselineRecords, 1))
	return out
}

// describe says the summary in a sentence or two.
func describe(s Summary) string {
	if s.Records == 0 {
		return "No log records."
	}
	text := fmt.Sprintf("%d of %d log records are errors", s.Errors, s.Records)
	if s.BaselineRecords > 0 {
		text += fmt.Sprintf(" (%d of %d before)", s.BaselineErrors, s.BaselineRecords)
	}
	var parts []string
	for _, f := range s.Patterns {
		parts = append(parts, fmt.Sprintf("%s %d times", strings.ReplaceAll(string(f.Pattern), "_", " "), f.Count))
	}
	if len(parts) > 0 {
		text += "; they speak of " + strings.Join(parts, ", ")
	}
	text += "."
	if len(s.Stacks) > 0 {
		top := s.Stacks[0]
		text += fmt.Sprintf(" Most frequent stack trace: %s in %s (%s), %d times.", top.Exception, top.TopFrame, top.Language, top.Count)
	}
	return text + describeChanges(s.Changes)
}
