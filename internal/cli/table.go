package cli

import (
	"strings"
	"unicode/utf8"
)

// width is what every table and story fits into.
const width = 100

// least is how far a column may be narrowed.
const least = 10

// table prints rows under a head. The columns named in flexible give way when
// it gets too wide, the widest first.
func (p *page) table(head []string, rows [][]string, flexible ...int) {
	if len(rows) == 0 {
		p.line("none")
		return
	}
	widths := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(oneLine(cell)))
		}
	}
	narrow(widths, flexible)
	p.row(head, widths, func(string) colour { return bold })
	for _, row := range rows {
		p.row(row, widths, mood)
	}
}

// narrow makes the flexible columns smaller until all fit.
func narrow(widths, flexible []int) {
	total := 2 * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > width; total-- {
		widest := -1
		for _, i := range flexible {
			if widths[i] > least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func (p *page) row(cells []string, widths []int, paint func(string) colour) {
	var line strings.Builder
	for i, cell := range cells {
		text := shorten(oneLine(cell), widths[i])
		padding := widths[i] - utf8.RuneCountInString(text)
		line.WriteString(p.paint(paint(cell), text))
		if i < len(cells)-1 {
			line.WriteString(strings.Repeat(" ", padding+2))
		}
	}
	p.out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
}

// oneLine makes text fit a cell.
func oneLine(text string) string {
	return strings.Join(strings.Fields(printable(text)), " ")
}

// shorten cuts text to at most limit characters.
func shorten(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	runes := []rune(text)
	return string(runes[:max(0, limit-2)]) + ".."
}
