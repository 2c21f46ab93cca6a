package expr

import (
	"strings"
	"unicode/utf8"
)

// literal gives the text before the next expression, escapes resolved, and
// where its "{{" is, -1 if there is none.
func literal(source string) (string, int) {
	var text strings.Builder
	from := 0
	for {
		open := strings.Index(source[from:], "{{")
		if open < 0 {
			text.WriteString(source[from:])
			return text.String(), -1
		}
		open += from
		if open == 0 || source[open-1] != '\\' {
			text.WriteString(source[from:open])
			return text.String(), open
		}
		text.WriteString(source[from:open-1] + "{{")
		from = open + len("{{")
	}
}

// closing finds the "}}" that ends an expression: outside of quotes and of
// the expression's own braces. It is -1 if there is none.
func closing(source string) int {
	depth := 0
	for i := 0; i < len(source); i++ {
		switch c := source[i]; {
		case c == '"' || c == '\'':
			end := quoted(source, i)
			if end < 0 {
				return -1
			}
			i = end
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		case c == '}' && strings.HasPrefix(source[i:], "}}"):
			return i
		}
	}
	return -1
}

// quoted gives the index of the last byte of the CEL string that starts at i.
func quoted(source string, i int) int {
	raw := i > 0 && (source[i-1] == 'r' || source[i-1] == 'R')
	mark := source[i : i+1]
	if triple := strings.Repeat(mark, 3); strings.HasPrefix(source[i:], triple) {
		mark = triple
	}
	for k := i + len(mark); k < len(source); k++ {
		switch {
		case source[k] == '\\' && !raw:
			k++
		case strings.HasPrefix(source[k:], mark):
			return k + len(mark) - 1
		}
	}
	return -1
}

func position(source string, offset int) (line, column int) {
	before := source[:offset]
	line = strings.Count(before, "\n") + 1
	column = utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return line, column
}

// moved turns a position within the expression at offset into one in source.
func moved(line, column int, source string, offset int) (int, int) {
	l, c := position(source, offset)
	if line == 1 {
		return l, c + column - 1
	}
	return l + line - 1, column
}

func shift(found Mistakes, source string, offset int) Mistakes {
	for i := range found {
		found[i].Line, found[i].Column = moved(found[i].Line, found[i].Column, source, offset)
	}
	return found
}
