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
		{
			"levels stay apart",
			[]string{"INFO order stored in db", "ERROR order stored in db", "level=warn order stored in db"},
			[]string{"INFO order stored in db", "ERROR order stored in db", "level=warn order stored in db"},
		},
		{
			"places in the code stay apart, whatever their length",
			[]string{"INFO shop.Cart#31 got a b c", "INFO shop.Cart#34 got a b c", "INFO shop.Cart#34 got a b c d", "cart.go:7: got a b", "cart.go:9: got a b"},
			[]string{"INFO shop.Cart#31 got a b c", "INFO shop.Cart#34 got a b c <*>", "INFO shop.Cart#34 got a b c <*>", "cart.go:7: got a b", "cart.go:9: got a b"},
		},
		{
			"names of values do not make texts alike",
			[]string{"trace: 7f1 span: 9b2 user: 17 begins", "trace: 7f1 span: 9b2 user: 17 ends"},
			[]string{"trace: <*> span: <*> user: <*> begins", "trace: <*> span: <*> user: <*> ends"},
		},
		{"addresses are values", []string{"dial db-0:5432 refused", "dial db-1:5432 refused"}, []string{"dial <*> refused", "dial <*> refused"}},
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

func TestMinerPlacesAreBounded(t *testing.T) {
	m := logmine.NewMiner(logmine.MinerOptions{})
	seen := map[int]bool{}
	for i := range 3000 {
		n, ok := m.Add(fmt.Sprintf("Order#%d was sent today", i))
		if !ok {
			t.Fatalf("text %d: got no template", i)
		}
		seen[n] = true
	}
	if len(seen) > 300 {
		t.Errorf("got %d templates, want what looks like a line of code taken for a value in the end", len(seen))
	}
}

func FuzzMiner(f *testing.F) {
	f.Add("INFO a.B#12 x: 1 [y]", "INFO a.B#12 x: 2 [y] z", 3)
	f.Add("\xff\x00= : #1 a#", "：１２ \u00a0", 0)
	f.Fuzz(func(t *testing.T, a, b string, most int) {
		m := logmine.NewMiner(logmine.MinerOptions{MaxTemplates: most, MaxTokens: most})
		for _, text := range []string{a, b, a + " " + b, a} {
			if n, ok := m.Add(text); ok && m.Text(n) == "" {
				t.Errorf("Add(%q): got an empty template", text)
			}
		}
		one, ok1 := m.Add(a)
		two, ok2 := m.Add(a)
		if one != two || ok1 != ok2 {
			t.Errorf("Add(%q) twice: got %d, %v and %d, %v", a, one, ok1, two, ok2)
		}
	})
}

// lines are texts as programs write them: many of few kinds.
func lines(n int) []string {
	kinds := []string{
		"12:00:%02d.%d INFO  shop.cart.CartService#%d TraceID: 7f%d SpanID: %d [addItem][Add item %d to the cart]",
		`2026-05-04T12:00:%02d.%dZ level=warn msg="slow query" took=%dms rows=%d table=orders user=%d id=%d`,
		"10.0.0.%d - - [04/May/2026:12:00:%02d] \"GET /items/%d HTTP/1.1\" 200 %d \"-\" %d %d",
		"E0504 12:00:%02d.%d worker.go:%d] job %d failed after %d attempts: connection refused by 10.1.0.%d:5432",
	}
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(kinds[i%len(kinds)], i%60, i%1000, i%40, i*7, i*13%5000, i)
	}
	return out
}

func BenchmarkMiner(b *testing.B) {
	texts := lines(10_000)
	m := logmine.NewMiner(logmine.MinerOptions{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Add(texts[i%len(texts)])
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
