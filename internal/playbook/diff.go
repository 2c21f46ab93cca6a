package playbook

import (
	"fmt"
	"slices"
	"strings"
)

const (
	diffContext = 3         // lines shown around a change
	diffWork    = 4_000_000 // pairs of lines compared; beyond it a change is shown as a whole
)

// Diff gives what changed between two texts as a unified diff; "" if nothing
// did.
func Diff(oldName string, before []byte, newName string, after []byte) string {
	a, b := lines(before), lines(after)
	marks := edits(a, b)
	var out strings.Builder
	for i := 0; i < len(marks); {
		if marks[i].kind == ' ' {
			i++
			continue
		}
		from := max(0, i-diffContext)
		to, quiet := i, 0
		for to < len(marks) && quiet <= 2*diffContext {
			if quiet++; marks[to].kind != ' ' {
				quiet = 0
			}
			to++
		}
		to -= max(0, quiet-diffContext)
		if out.Len() == 0 {
			fmt.Fprintf(&out, "--- %s\n+++ %s\n", oldName, newName)
		}
		hunk(&out, marks[from:to])
		i = to
	}
	return out.String()
}

// edit is one line: kept (' '), removed ('-') or added ('+').
type edit struct {
	kind     byte
	text     string
	old, new int // line numbers from 1
}

func hunk(out *strings.Builder, marks []edit) {
	var removed, added int
	for _, m := range marks {
		if m.kind != '+' {
			removed++
		}
		if m.kind != '-' {
			added++
		}
	}
	fmt.Fprintf(out, "@@ -%d,%d +%d,%d @@\n", marks[0].old, removed, marks[0].new, added)
	for _, m := range marks {
		fmt.Fprintf(out, "%c%s\n", m.kind, m.text)
	}
}

func lines(data []byte) []string {
	text := strings.TrimSuffix(string(data), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// edits aligns two texts along a longest common run of lines.
func edits(a, b []string) []edit {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	out := make([]edit, 0, len(a)+len(b))
	i, j := 0, 0
	keep := func() { out = append(out, edit{' ', a[i], i + 1, j + 1}); i, j = i+1, j+1 }
	remove := func() { out = append(out, edit{'-', a[i], i + 1, j + 1}); i++ }
	add := func() { out = append(out, edit{'+', b[j], i + 1, j + 1}); j++ }
	for i < head {
		keep()
	}
	endA, endB := len(a)-tail, len(b)-tail
	common := longest(a[head:endA], b[head:endB])
	for i < endA || j < endB {
		switch {
		case i < endA && j < endB && a[i] == b[j] && common != nil:
			keep()
		case j == endB || i < endA && (common == nil || common[i-head+1][j-head] >= common[i-head][j-head+1]):
			remove()
		default:
			add()
		}
	}
	for i < len(a) {
		keep()
	}
	return out
}

// longest tells for each pair of ends the length of the longest common run of
// lines between there and the end; nil if that is too much work.
func longest(a, b []string) [][]int32 {
	if len(a)*len(b) > diffWork {
		return nil
	}
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i, line := range slices.Backward(a) {
		for j, other := range slices.Backward(b) {
			if line == other {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	return common
}
