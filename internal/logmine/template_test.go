package logmine_test

import (
	"fmt"
	"testing"

	"github.com/homeostat/homeostat/internal/logmine"
)

func TestMiner(t *testing.T) {
	tests := []struct {
		name  string
		texts []string
		want  []string // template of each text
	}{
		{
			"numbers and ids vary",
			[]string{
				"user 17 logged in from 10.0.0.1", "user 4 logged in from 10.1.2.3",
				"job 6f9619ff-8b86-d011-b42d-00c04fc964ff done", "job 7e1f done",
			},
			[]string{"user <*> logged in from <*>", "user <*> logged in from <*>", "job <*> done", "job <*> done"},
		},
		{
			"words that vary",
			[]string{"user alice logged in today", "user bob logged in today"},
			[]string{"user <*> logged in today", "user <*> logged in today"},
		},
		{
			"other texts stay apart",
			[]string{"cache miss for key", "cache closed its door", "disk miss"},
			[]string{"cache miss for key", "cache closed its door", "disk miss"},
		},
		{
			"names before values stay",
			[]string{"took=12ms code=200 (attempt 3)", "took=9ms code=500 (attempt 4)"},
			[]string{"took=<*> code=<*> (attempt <*>)", "took=<*> code=<*> (attempt <*>)"},
		},
		{"names with a digit stay", []string{"using http2 and utf8"}, []string{"using http2 and utf8"}},
		{"dates first", []string{"2026-03-01 12:00:00 start", "2026-03-02 13:10:00 start"}, []string{"<*> <*> start", "<*> <*> start"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := logmine.NewMiner(logmine.MinerOptions{})
			var numbers []int
			for _, text := range tt.texts {
				n, ok := m.Add(text)
				if !ok {
					t.Fatalf("Add(%q): got no template", text)
				}
				numbers = append(numbers, n)
			}
			var got []string
			for _, n := range numbers {
				got = append(got, m.Text(n))
			}
			equal(t, "templates", got, tt.want)
		})
	}
}

func TestMinerIsBounded(t *testing.T) {
	m := logmine.NewMiner(logmine.MinerOptions{MaxTemplates: 2})
	for i, want := range []bool{true, true, false} {
		if _, ok := m.Add(fmt.Sprintf("%c nothing alike", 'a'+i)); ok != want {
			t.Errorf("Add of text %d: got %v, want %v", i, ok, want)
		}
	}
	if _, ok := m.Add(" \t"); ok {
		t.Error("Add of blanks: got a template, want none")
	}
}
