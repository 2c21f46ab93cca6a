package alert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/homeostat/homeostat/internal/heal"
)

// Adapter reads the bodies of one source system.
type Adapter interface {
	// Name is the source system the alerts are marked with.
	Name() string

	// Parse reads one body received at the time. The alerts have no id yet and
	// keep the order of the body. What could not be read, next to alerts that
	// could, is in the Skipped; a body of which nothing could be read is an
	// error of kind Invalid.
	Parse(body []byte, at time.Time) ([]heal.Alert, []Skipped, error)
}

// Skipped is something a body spoke of that did not become an alert.
type Skipped struct {
	Index  int             `json:"index"` // place in the body's list from 0; -1: not in the body at all
	Count  int             `json:"count"` // how many alerts this stands for
	Reason string          `json:"reason"`
	Raw    json.RawMessage `json:"raw,omitempty"`
}

// Options say how an adapter normalises. The zero value is usable.
type Options struct {
	Source              string       // what the alerts are marked with; default the adapter's own name
	Scope               heal.Scope   // where the source's alerts live; default heal.DefaultScope
	Entity              []EntityRule // default DefaultEntityRules
	SeverityLabel       string       // label or annotation with the severity; default "severity"
	ConditionAnnotation string       // label or annotation with a PromQL expression; default "homeostat_condition"
	RuleExpression      bool         // the expression in an alert's generatorURL is its condition if it has no other: its source can be asked
	Limits              Limits
}

// Limits bound what is taken from outside. Zero fields mean the default.
type Limits struct {
	Body        int // bytes of a body; default 5 MiB
	Alerts      int // alerts in a body; default 1,000
	Depth       int // nesting of the JSON; default 32
	Labels      int // labels, and annotations, of an alert; default 64
	LabelName   int // bytes of a label's name; default 256
	LabelValue  int // bytes of a label's value; default 2,048
	Description int // bytes of an annotation, cut beyond (Raw keeps all); default 16 KiB
}

func (o Options) withDefaults(name string) Options {
	orString(&o.Source, name)
	orString(&o.SeverityLabel, "severity")
	orString(&o.ConditionAnnotation, "homeostat_condition")
	if o.Scope == (heal.Scope{}) {
		o.Scope = heal.DefaultScope
	}
	if o.Entity == nil {
		o.Entity = DefaultEntityRules()
	}
	o.Limits = o.Limits.withDefaults()
	return o
}

func (l Limits) withDefaults() Limits {
	orInt(&l.Body, 5<<20)
	orInt(&l.Alerts, 1000)
	orInt(&l.Depth, 32)
	orInt(&l.Labels, 64)
	orInt(&l.LabelName, 256)
	orInt(&l.LabelValue, 2048)
	orInt(&l.Description, 16<<10)
	return l
}

func orString(into *string, value string) {
	if *into == "" {
		*into = value
	}
}

func orInt(into *int, value int) {
	if *into == 0 {
		*into = value
	}
}

// checkBody refuses bodies that must not reach the JSON decoder.
func (l Limits) checkBody(op string, body []byte) error {
	if len(body) > l.Body {
		return heal.Errorf(heal.Invalid, op, "body has %d bytes, at most %d are taken", len(body), l.Body)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return heal.Errorf(heal.Invalid, op, "body is empty, expected JSON")
	}
	if !utf8.Valid(body) {
		return heal.Errorf(heal.Invalid, op, "body is not valid UTF-8 at byte %d", invalidUTF8(body))
	}
	if at := tooDeep(body, l.Depth); at >= 0 {
		return heal.Errorf(heal.Invalid, op, "body is nested more than %d levels deep at byte %d", l.Depth, at)
	}
	return nil
}

// invalidUTF8 is the offset of the first byte that is not UTF-8.
func invalidUTF8(body []byte) int {
	for i := 0; i < len(body); {
		r, size := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return len(body)
}

// tooDeep is the offset at which JSON nests deeper than depth, -1 if it never
// does. Malformed JSON is left to the decoder.
func tooDeep(body []byte, depth int) int {
	level, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if level++; level > depth {
				return i
			}
		case c == '}' || c == ']':
			level--
		}
	}
	return -1
}

// cut shortens text to at most limit bytes at the border of a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s... (%d of %d bytes)", text[:end], end, len(text))
}

// jsonReason says in plain words why JSON could not be read.
func jsonReason(err error) string {
	if bad, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("is not JSON at byte %d: %v", bad.Offset, bad)
	}
	if bad, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		where := bad.Field
		if where == "" {
			where = "the value"
		}
		return fmt.Sprintf("%s: found a JSON %s, expected %s", where, bad.Value, goName(bad.Type.Kind().String()))
	}
	return err.Error()
}

// goName gives the JSON word for a kind of Go type.
func goName(kind string) string {
	switch kind {
	case "map", "struct":
		return "an object"
	case "slice":
		return "a list"
	case "string":
		return "a string"
	case "float64", "int":
		return "a number"
	}
	return kind
}

// finish makes the error of a body of which nothing could be read.
func finish(op string, alerts []heal.Alert, skipped []Skipped) ([]heal.Alert, []Skipped, error) {
	bad := 0
	var first *Skipped
	for i := range skipped {
		if skipped[i].Index >= 0 {
			bad++
			if first == nil {
				first = &skipped[i]
			}
		}
	}
	if len(alerts) == 0 && bad > 0 {
		return nil, skipped, heal.Errorf(heal.Invalid, op, "none of %d alerts can be read; alert %d %s", bad, first.Index, first.Reason)
	}
	return alerts, skipped, nil
}
