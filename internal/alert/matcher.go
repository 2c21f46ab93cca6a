package alert

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/homeostat/homeostat/internal/heal"
)

// maxMatcher bounds the text of a matcher, in bytes.
const maxMatcher = 2048

// ParseMatcher reads a condition as service=cart, severity!="info" or
// alertname=~"High.*". The value may stand in double quotes, with escapes as in
// Go and JSON; without them it is taken as it stands. The kind of an error is
// Invalid.
func ParseMatcher(text string) (heal.Matcher, error) {
	const op = "read a matcher"
	if len(text) > maxMatcher {
		return heal.Matcher{}, heal.Errorf(heal.Invalid, op, "it has %d bytes, at most %d are taken", len(text), maxMatcher)
	}
	trimmed := strings.TrimSpace(text)
	at := strings.IndexAny(trimmed, "=!")
	if at < 0 {
		return heal.Matcher{}, heal.Errorf(heal.Invalid, op, `%q has no comparison, expected label="value" with =, !=, =~ or !~`, text)
	}
	m := heal.Matcher{Label: strings.TrimSpace(trimmed[:at])}
	rest := trimmed[at:]
	for _, comparison := range []heal.MatchOp{heal.MatchRegex, heal.MatchNotEqual, heal.MatchNotRegex, heal.MatchEqual} {
		if value, ok := strings.CutPrefix(rest, string(comparison)); ok {
			m.Op, m.Value = comparison, strings.TrimSpace(value)
			break
		}
	}
	if m.Op == "" {
		return heal.Matcher{}, heal.Errorf(heal.Invalid, op, `%q has an unknown comparison, expected =, !=, =~ or !~`, text)
	}
	if strings.HasPrefix(m.Value, `"`) {
		value, err := strconv.Unquote(m.Value)
		if err != nil {
			return heal.Matcher{}, heal.Errorf(heal.Invalid, op, `the value of %q is not quoted well, expected label="value"`, text)
		}
		m.Value = value
	}
	if _, err := compile(m); err != nil {
		return heal.Matcher{}, err
	}
	return m, nil
}

// matcher is a matcher ready to be asked.
type matcher struct {
	heal.Matcher
	regex *regexp.Regexp // of =~ and !~
}

// compile checks a matcher and makes it ready.
func compile(m heal.Matcher) (matcher, error) {
	const op = "read a matcher"
	bad := func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`=!~"{},`, r)
	}
	switch {
	case m.Label == "" || len(m.Label) > 256 || !utf8.ValidString(m.Label) || strings.ContainsFunc(m.Label, bad):
		return matcher{}, heal.Errorf(heal.Invalid, op, "%.80q is no name of a label", m.Label)
	case len(m.Value) > 1024 || !utf8.ValidString(m.Value):
		return matcher{}, heal.Errorf(heal.Invalid, op, "the value for the label %s is not valid UTF-8 of at most 1024 bytes", m.Label)
	}
	out := matcher{Matcher: m}
	switch m.Op {
	case heal.MatchEqual, heal.MatchNotEqual:
		return out, nil
	case heal.MatchRegex, heal.MatchNotRegex:
		// By itself first: with the group around it, a)|(b would be well formed.
		if _, err := regexp.Compile(m.Value); err != nil {
			return matcher{}, heal.Errorf(heal.Invalid, op, "the expression for the label %s cannot be read: %w", m.Label, err)
		}
		var err error
		if out.regex, err = regexp.Compile("^(?:" + m.Value + ")$"); err != nil {
			return matcher{}, heal.Errorf(heal.Invalid, op, "the expression for the label %s cannot be read: %w", m.Label, err)
		}
		return out, nil
	}
	return matcher{}, heal.Errorf(heal.Invalid, op, "the comparison is %q, expected =, !=, =~ or !~", m.Op)
}

// matches reports whether the value of the matcher's label is as it says.
func (m *matcher) matches(value string) bool {
	switch m.Op {
	case heal.MatchEqual:
		return value == m.Value
	case heal.MatchNotEqual:
		return value != m.Value
	case heal.MatchRegex:
		return m.regex.MatchString(value)
	case heal.MatchNotRegex:
		return !m.regex.MatchString(value)
	}
	return false
}

// LabelOf is the value of an alert's label as matchers see it: its own, else
// for alertname, severity, service, entity and source what was made of the
// alert, else empty.
func LabelOf(a *heal.Alert, name string) string {
	if value := a.Labels[name]; value != "" {
		return value
	}
	switch name {
	case "alertname":
		return a.Name
	case "severity":
		return string(a.Severity)
	case "service":
		return a.ServiceName
	case "entity":
		return string(a.Entity)
	case "source":
		return a.SourceSystem
	}
	return ""
}
