package playbook

import (
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	numbers := func(from, to int, change map[int]string) []byte {
		var out strings.Builder
		for i := from; i <= to; i++ {
			if text, ok := change[i]; ok {
				out.WriteString(text)
				continue
			}
			out.WriteString("line " + strings.Repeat("i", i) + "\n")
		}
		return []byte(out.String())
	}
	tests := []struct {
		name          string
		before, after []byte
		want          []string // lines that begin with @, - or +
	}{
		{"the same", numbers(1, 5, nil), numbers(1, 5, nil), nil},
		{"from nothing", nil, []byte("a\nb\n"), []string{"--- old", "+++ new", "@@ -1,0 +1,2 @@", "+a", "+b"}},
		{"to nothing", []byte("a\n"), nil, []string{"--- old", "+++ new", "@@ -1,1 +1,0 @@", "-a"}},
		{"in the middle", numbers(1, 9, nil), numbers(1, 9, map[int]string{5: "five\n"}), []string{"--- old", "+++ new", "@@ -2,7 +2,7 @@", "-line iiiii", "+five"}},
		{"two places", numbers(1, 30, nil), numbers(1, 30, map[int]string{2: "", 28: "a\nb\n"}), []string{"--- old", "+++ new", "@@ -1,5 +1,4 @@", "-line ii", "@@ -25,6 +24,7 @@", "-line " + strings.Repeat("i", 28), "+a", "+b"}},
		{"moved", []byte("a\nb\nc\n"), []byte("b\nc\na\n"), []string{"--- old", "+++ new", "@@ -1,3 +1,3 @@", "-a", "+a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for line := range strings.Lines(Diff("old", tt.before, "new", tt.after)) {
				if line[0] != ' ' {
					got = append(got, strings.TrimSuffix(line, "\n"))
				}
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestDiffOfTextsThatShareNothingIsBounded(t *testing.T) {
	many := func(letter string) []byte { return []byte(strings.Repeat(letter+"\n", 50_000)) }
	if got := strings.Count(Diff("old", many("a"), "new", many("b")), "\n"); got != 100_003 {
		t.Errorf("got %d lines, want every line of both and the head", got)
	}
}
