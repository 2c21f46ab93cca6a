package playbook

import (
	"fmt"
	"maps"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/expr"
)

// stepTypes are the types of the fixed keys of stepVars.
var stepTypes = map[string]expr.Type{
	"target.id": expr.String, "target.kind": expr.String, "target.name": expr.String,
	"incident.id": expr.String, "incident.severity": expr.String, "incident.pattern": expr.String, "incident.title": expr.String,
	"incident.values": expr.Map, "incident.labels": expr.Map,
	"run.id": expr.String, "run.attempt": expr.Int,
}

// exprTypes are the types of parameters within expressions.
var exprTypes = map[action.ParamType]expr.Type{
	action.String: expr.String, action.Int: expr.Int, action.Float: expr.Double, action.Bool: expr.Bool,
	action.Duration: expr.Duration, action.Strings: expr.List, action.Object: expr.Map,
}

// valueWords names what an expression gives, in a message.
var valueWords = map[expr.Type]string{
	expr.String: "text", expr.Int: "a whole number", expr.Double: "a number", expr.Bool: "true or false",
	expr.Map: "keys and values", expr.List: "a list", expr.Timestamp: "a time", expr.Duration: "a duration",
}

// know lets templates and conditions be checked against the types of the
// parameters, once these are read.
func (c *compiler) know(params []Param) error {
	types := maps.Clone(stepTypes)
	c.types = types
	for _, p := range params {
		if t, ok := exprTypes[p.Type]; ok && namePattern.MatchString(p.Name) {
			types["params."+p.Name] = t
		}
	}
	for env, vars := range map[*expr.Env]map[string]expr.Type{c.steps: stepVars, c.judges: judgeVars} {
		all := maps.Clone(vars)
		maps.Copy(all, types)
		typed, err := expr.NewEnv(all)
		if err != nil {
			return err
		}
		c.typed[env] = typed
	}
	return nil
}

// misfit says that what an expression gives cannot be a parameter of the type,
// "" if it can be, or if only rendering tells.
func misfit(gives expr.Type, t action.ParamType) string {
	fits := false
	switch gives {
	case expr.Dyn:
		fits = true
	case expr.String:
		fits = t == action.String || t == action.Duration
	case expr.Int, expr.Double:
		fits = t == action.Int || t == action.Float
	case expr.Bool:
		fits = t == action.Bool
	case expr.Map:
		fits = t == action.Object
	case expr.List:
		fits = t == action.Strings
	case expr.Duration:
		fits = t == action.Duration
	case expr.Timestamp:
	}
	if fits {
		return ""
	}
	return fmt.Sprintf("gives %s, expected %s", valueWords[gives], t)
}

// conversion is how what an expression gives becomes the type, if there is a way.
func conversion(gives expr.Type, t action.ParamType) string {
	switch {
	case t == action.String && gives != expr.Map && gives != expr.List:
		return "write string(...) around it"
	case gives == expr.String && (t == action.Int || t == action.Float):
		return "write int(...) or double(...) around it, and nothing outside the braces"
	case gives == expr.String && t == action.Bool:
		return "write a comparison, and nothing outside the braces"
	}
	return ""
}
