package logmine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// ChangeKind says how often a text is written compared with a baseline.
type ChangeKind string

// The kinds of changes.
const (
	ChangeNew  ChangeKind = "new"
	ChangeGone ChangeKind = "gone"
	ChangeMore ChangeKind = "more"
	ChangeLess ChangeKind = "less"
)

// Change is a template whose part of all records is another than in the
// baseline, beyond chance.
type Change struct {
	Kind  ChangeKind `json:"kind"`
	Text  string     `json:"text"`
	Score float64    `json:"score"` // how far beyond chance, in standard deviations
	Tally
}

// MaxChanges is the most changes a Summary names.
const MaxChanges = 20

// changed is the score from which a difference counts: there are many texts,
// and one in a thousand is always that far off.
const changed = 3.3

// changes compares the templates of both sides, the clearest first, errors
// before others.
func (c *counter) changes() []Change {
	if c.sum.Records == 0 || c.sum.BaselineRecords == 0 {
		return nil
	}
	var list []Change
	for n, t := range c.templates {
		now, before := t.Count, t.Baseline
		change := Change{Text: c.miner.Text(n), Tally: t.shared(c.sum)}
		if change.Share > change.BaselineShare {
			change.Score = beyondChance(now, c.sum.Records, before, c.sum.BaselineRecords)
			change.Kind = kindOf(before, ChangeNew, ChangeMore)
		} else {
			change.Score = beyondChance(before, c.sum.BaselineRecords, now, c.sum.Records)
			change.Kind = kindOf(now, ChangeGone, ChangeLess)
		}
		if change.Score >= changed {
			list = append(list, change)
		}
	}
	slices.SortFunc(list, func(a, b Change) int {
		return cmp.Or(
			-cmp.Compare(min(a.Errors, 1), min(b.Errors, 1)), -cmp.Compare(a.Score, b.Score), cmp.Compare(a.Text, b.Text),
		)
	})
	return list[:min(len(list), MaxChanges)]
}

func kindOf(other int, none, some ChangeKind) ChangeKind {
	if other == 0 {
		return none
	}
	return some
}

// describeChanges says the clearest changes in a sentence a kind.
func describeChanges(list []Change) string {
	var text strings.Builder
	for _, kind := range []struct {
		kind ChangeKind
		word string
	}{{ChangeNew, "New"}, {ChangeMore, "More often"}, {ChangeGone, "No longer"}, {ChangeLess, "Less often"}} {
		var parts []string
		rest := 0
		for _, c := range list {
			switch {
			case c.Kind != kind.kind:
			case len(parts) < 2:
				parts = append(parts, fmt.Sprintf("%q (%d, %d before)", clipWords(c.Text), c.Count, c.Baseline))
			default:
				rest++
			}
		}
		if rest > 0 {
			parts = append(parts, fmt.Sprintf("%d more", rest))
		}
		if len(parts) > 0 {
			fmt.Fprintf(&text, " %s: %s.", kind.word, strings.Join(parts, ", "))
		}
	}
	return text.String()
}

// clipWords shortens a template for a sentence.
func clipWords(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	cut := strings.LastIndexByte(text[:most], ' ')
	if cut <= 0 {
		cut = most
	}
	return strings.ToValidUTF8(text[:cut], "") + " ..."
}
