package query

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// FuzzParseCursor: a cursor over any column is refused, or is the same when it
// is written and read again.
func FuzzParseCursor(f *testing.F) {
	f.Add(after(1, "key", "text").String(), false, true)
	f.Add(after(1, "key", int64(-1)).String(), true, true)
	f.Add(after(1, "key", nil).String(), true, true)
	f.Add("bnVsbA", true, false)
	f.Add("e30", false, false)
	f.Add("", false, false)
	f.Fuzz(func(t *testing.T, text string, isInt, nullable bool) {
		column := store.Column{Name: "c", Int: isInt}
		c, err := parseCursor("list", text, 1, column, nullable)
		if err != nil {
			if !heal.Is(err, heal.Invalid) {
				t.Errorf("error: got %v, want kind invalid", err)
			}
			return
		}
		again, err := parseCursor("list", c.String(), 1, column, nullable)
		if diff := cmp.Diff(c, again); err != nil || diff != "" {
			t.Errorf("written and read again: %v (-want +got):\n%s", err, diff)
		}
	})
}

// TestLongestCursor: what may be stored can be paged by.
func TestLongestCursor(t *testing.T) {
	text := strings.Repeat("<", MaxText)
	column := store.Column{Name: "name"}
	wrote := cursor{Query: 7, Key: strings.Repeat("\x01", MaxKey), Text: &text}
	got, err := parseCursor("list", wrote.String(), 7, column, true)
	if err != nil || got.Key != wrote.Key || got.Text == nil || *got.Text != text {
		t.Errorf("got an error %v and a place of %d bytes, want what was written", err, len(got.Key))
	}
}
