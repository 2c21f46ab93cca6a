package http

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/action"
)

// Previewer says what would be sent. It has no client.
type Previewer struct{ rules rules }

// NewPreviewer makes the previewer from the options of the driver.
func NewPreviewer(opts Options) (*Previewer, error) {
	allowed, err := parseRules(opts.Allow)
	if err != nil {
		return nil, err
	}
	return &Previewer{rules: allowed}, nil
}

// Specs lists the actions.
func (v *Previewer) Specs() []action.Spec { return specs }

// Preview names the request, its headers without their values, and the size of
// its body.
func (v *Previewer) Preview(_ context.Context, call action.Call) (action.Preview, error) {
	m, err := v.rules.parse(call)
	if err != nil {
		return action.Preview{}, err
	}
	text := fmt.Sprintf("Would send %s", m)
	if m.url.RawQuery != "" {
		text += " with a query"
	}
	if len(m.headers) > 0 {
		names := make([]string, 0, len(m.headers))
		for name := range m.headers {
			names = append(names, name)
		}
		slices.Sort(names)
		text += ", headers " + strings.Join(names, ", ")
	}
	if m.body != "" {
		text += fmt.Sprintf(", a body of %d bytes", len(m.body))
	}
	return action.Preview{Text: fmt.Sprintf("%s, and expect %s within %s.", text, strings.Join(m.expect, " or "), m.timeout)}, nil
}
