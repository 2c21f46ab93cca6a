package api

import (
	"strings"
	"testing"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// FuzzMayHold: no alert that a search finds is passed over unread.
func FuzzMayHold(f *testing.F) {
	for _, s := range [][4]string{
		{"cart is DOWN", "job", "shop", "down"},
		{"", "job", "shop", "job=shop"},
		{"a <b> & c", "x", "\"q\"", "<b>"},
		{"\u212aelvin", "é", "Ü", "kelvin"},
		{"line\nbreak", "\t", "\\", "\\"},
		{"\u2028x", "a", "b", "x"},
		{"\xff", "n", "v", "\ufffd"},
		{"", "a/b", "c:d", "A/B"},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, text, label, value, search string) {
		rec, err := alertKind.Encode(&heal.Alert{ID: "a1", Name: "Down", Description: text, Labels: map[string]string{label: value}}, store.Any)
		if err != nil {
			return // it cannot be stored
		}
		a, err := alertKind.Decode(rec)
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(strings.ToLower(search))
		if holds(&a, words) && !mayHold(rec.Body, words) {
			t.Errorf("%q is in %s, which is passed over", words, rec.Body)
		}
	})
}
