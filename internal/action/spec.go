package action

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

var (
	actionName = regexp.MustCompile(`^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$`)
	fieldName  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// Validate reports, with kind Internal, what is wrong with a driver's
// declaration: a spec is part of the program, never input.
func (s Spec) Validate() error {
	var mistakes []string
	wrong := func(format string, args ...any) { mistakes = append(mistakes, fmt.Sprintf(format, args...)) }
	if !actionName.MatchString(s.Name) {
		wrong("name %q is not of the form driver.verb", s.Name)
	}
	if s.Doc == "" {
		wrong("has no doc")
	}
	if !validEffect(s.Effect) {
		wrong("effect %q is none of read_only, idempotent, observable, once", s.Effect)
	}
	if !validImpact(s.Impact) {
		wrong("impact %q is none of harmless, reversible, disruptive, destructive", s.Impact)
	}
	if s.Effect == ReadOnly && s.Impact != Harmless {
		wrong("reads only but its impact is %s", s.Impact)
	}
	seen := map[string]bool{}
	for _, p := range s.Params {
		if problem := p.problem(); problem != "" {
			wrong("parameter %q %s", p.Name, problem)
		}
		if seen[p.Name] {
			wrong("parameter %q is declared twice", p.Name)
		}
		seen[p.Name] = true
	}
	outputs := map[string]bool{}
	for _, name := range s.Outputs {
		if !fieldName.MatchString(name) || outputs[name] {
			wrong("output %q is declared twice or not in snake_case", name)
		}
		outputs[name] = true
	}
	if len(mistakes) > 0 {
		return heal.Errorf(heal.Internal, "spec of "+s.Name, "%s", strings.Join(mistakes, "; "))
	}
	return nil
}

func (p Param) problem() string {
	switch {
	case !fieldName.MatchString(p.Name):
		return "is not in snake_case"
	case p.Doc == "":
		return "has no doc"
	case !validType(p.Type):
		return fmt.Sprintf("has the unknown type %q", p.Type)
	case p.Required && p.Default != nil:
		return "is required and has a default"
	case p.Default != nil:
		if _, err := convert(p.Type, p.Default); err != nil {
			return "has a default that " + err.Error()
		}
	}
	return ""
}

func validEffect(e Effect) bool {
	switch e {
	case ReadOnly, Idempotent, Observable, Once:
		return true
	}
	return false
}

func validImpact(i Impact) bool {
	switch i {
	case Harmless, Reversible, Disruptive, Destructive:
		return true
	}
	return false
}

func validType(t ParamType) bool {
	switch t {
	case String, Int, Float, Bool, Duration, Strings, Object:
		return true
	}
	return false
}

func unknownAction(name string, known []string) error {
	return heal.Errorf(heal.Invalid, "find action", "no driver has the action %q%s", clip(name), didYouMean(name, known))
}

// didYouMean gives " (did you mean ...?)" for the known name that is nearest.
func didYouMean(name string, known []string) string {
	if near := heal.Nearest(name, known); near != "" {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ""
}
