package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

// show prints v as JSON or YAML, or by table if that is what was asked for.
func (s *session) show(v any, table func(*page)) error {
	if s.output == "table" {
		p := &page{colours: colourful(s.stdout), now: time.Now()}
		table(p)
		return s.write(p.out.Bytes())
	}
	data, err := encode(v)
	if err != nil {
		return &failure{code: ExitFailed, text: "the answer cannot be written: " + err.Error()}
	}
	if s.output == "yaml" {
		if data, err = yaml.JSONToYAML(data); err != nil {
			return &failure{code: ExitFailed, text: "the answer cannot be written as YAML: " + err.Error()}
		}
	}
	return s.write(data)
}

func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return out.Bytes(), err
}

func (s *session) write(data []byte) error {
	if _, err := s.stdout.Write(data); err != nil {
		return &failure{code: ExitFailed, text: "write the output: " + err.Error()}
	}
	return nil
}

// colourful reports whether colours are for a person to see.
func colourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// page is plain text for people.
type page struct {
	out     bytes.Buffer
	colours bool
	now     time.Time
}

func (p *page) line(format string, args ...any) {
	p.out.WriteString(printable(fmt.Sprintf(format, args...)))
	p.out.WriteByte('\n')
}

// field is a name and a value of a story; nothing is written for no value.
func (p *page) field(name, value string) {
	if value != "" {
		p.wrapped(fmt.Sprintf("%-12s ", name+":"), value)
	}
}

// wrapped writes text in lines of at most width, the later ones indented.
func (p *page) wrapped(head, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(head))
	line := head
	empty := true
	for word := range strings.FieldsSeq(printable(text)) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			p.out.WriteString(strings.TrimRight(line, " ") + "\n")
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	p.out.WriteString(strings.TrimRight(line, " ") + "\n")
}

func (p *page) title(text string) { p.out.WriteString("\n" + p.paint(bold, text) + "\n") }

type colour string

const (
	plain  colour = ""
	bold   colour = "\x1b[1m"
	red    colour = "\x1b[31m"
	green  colour = "\x1b[32m"
	yellow colour = "\x1b[33m"
)

func (p *page) paint(c colour, text string) string {
	if !p.colours || c == plain {
		return text
	}
	return string(c) + text + "\x1b[0m"
}

// mood is the colour of a state, a severity or a verdict.
func mood(word string) colour {
	switch word {
	case "critical", "failed", "timed_out", "firing", "persists", "ineffective", "denied", "on":
		return red
	case "warning", "escalated", "waiting_approval", "unknown", "paused", "acknowledged", "high":
		return yellow
	case "healed", "succeeded", "cleared", "resolved", "ok":
		return green
	}
	return plain
}

// printable takes out what could move the cursor or change the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		if unicode.IsSpace(r) {
			return ' '
		}
		return '?'
	}, text)
}
