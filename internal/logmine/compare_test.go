package logmine_test

import (
	"fmt"
	"testing"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/logmine"
)

// many are n records of one text, at a severity.
func many(n, severity int, text string) []heal.LogRecord {
	var out []heal.LogRecord
	for i := range n {
		out = append(out, record(i, severity, fmt.Sprintf("%s %d", text, i)))
	}
	return out
}

func join(parts ...[]heal.LogRecord) []heal.LogRecord {
	var out []heal.LogRecord
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func TestChanges(t *testing.T) {
	tests := []struct {
		name        string
		now, before []heal.LogRecord
		want        []string
	}{
		{
			"new, gone, more and less, the error first",
			join(many(300, 9, "served request"), many(40, 17, "payment was rejected by"), many(60, 9, "cache was missed for")),
			join(many(300, 9, "served request"), many(5, 9, "cache was missed for"), many(40, 9, "nightly report wrote row")),
			[]string{"new payment was rejected by <*> 40 of 0", "gone nightly report wrote row <*> 0 of 40", "more cache was missed for <*> 60 of 5", "less served request <*> 300 of 300"},
		},
		{"the same at another volume", many(1000, 9, "served request"), many(50, 9, "served request"), nil},
		{"one odd line proves nothing", join(many(100, 9, "served request"), many(1, 17, "payment was rejected by")), many(100, 9, "served request"), nil},
		{"nothing to compare with", many(100, 17, "payment was rejected by"), nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range logmine.Summarise(tt.now, tt.before).Changes {
				got = append(got, fmt.Sprintf("%s %s %d of %d", c.Kind, c.Text, c.Count, c.Baseline))
			}
			equal(t, "changes", got, tt.want)
		})
	}
}
