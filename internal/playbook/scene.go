package playbook

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// Scene is what templates and conditions of a run can see:
//
//	params.<name>          declared parameters, in their types
//	outputs.<task>.<key>   outputs by task id and by output_variable; a task
//	                       that failed or was skipped has none, so ask has();
//	                       outputs.<call>.<task>.<key> of a playbook that was
//	                       called, outputs.<loop>.items[n].output of a loop
//	<item>                 the entry, in a loop
//	target.id|kind|name    the cause of the case
//	incident.id|severity|pattern|title, incident.values.<name>, incident.labels.<name>
//	run.id|attempt
type Scene struct {
	Params   map[string]any            // from Playbook.ParamValues
	Outputs  map[string]map[string]any // by the id of the step
	Target   heal.EntityID
	Incident Incident
	Run      Run
}

// Incident is the case as templates see it.
type Incident struct {
	ID       heal.IncidentID
	Severity heal.Severity
	Pattern  heal.Pattern
	Title    string
	Values   heal.Values
	Labels   map[string]string
}

// Run is the run as templates see it.
type Run struct {
	ID      heal.RunID
	Attempt int // 1 for the first attempt of the case
}

// vars gives the variables of the playbook's templates and conditions, with the
// outputs of its own tasks.
func (p *Playbook) vars(s Scene, outputs map[string]map[string]any) map[string]any {
	return map[string]any{
		"params":  orEmpty(s.Params),
		"outputs": named(p, outputs),
		"target":  targetVars(s.Target),
		"incident": map[string]any{
			"id": string(s.Incident.ID), "severity": string(s.Incident.Severity), "pattern": string(s.Incident.Pattern),
			"title": s.Incident.Title, "values": orEmpty(s.Incident.Values), "labels": orEmpty(s.Incident.Labels),
		},
		"run": map[string]any{"id": string(s.Run.ID), "attempt": int64(s.Run.Attempt)},
	}
}

func targetVars(id heal.EntityID) map[string]any {
	return map[string]any{"id": string(id), "kind": string(id.Kind()), "name": id.Name()}
}

func orEmpty[M ~map[string]V, V any](m M) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// ParamValues gives the declared parameters in their types, defaults filled
// in. The error, of kind Invalid, names every mistake.
func (p *Playbook) ParamValues(given map[string]string) (map[string]any, error) {
	var mistakes []string
	declared := make(map[string]bool, len(p.Params))
	out := make(map[string]any, len(p.Params))
	for _, param := range p.Params {
		declared[param.Name] = true
		raw, ok := given[param.Name]
		switch {
		case !ok && param.Required:
			mistakes = append(mistakes, fmt.Sprintf("parameter %q (%s) is required", param.Name, param.Type))
		case !ok && param.Default != nil:
			out[param.Name] = param.Default
		case ok:
			v, err := fromText(param, raw)
			if err != nil {
				mistakes = append(mistakes, err.Error())
				continue
			}
			out[param.Name] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !declared[name] {
			text := fmt.Sprintf("parameter %q is not declared by playbook %s", clip(name), p.ID)
			if hint := suggest(name, declared); hint != "" {
				text += " (" + hint + ")"
			}
			mistakes = append(mistakes, text)
		}
	}
	if len(mistakes) > 0 {
		return nil, heal.Errorf(heal.Invalid, "parameters of playbook "+p.ID, "%s", strings.Join(mistakes, "; "))
	}
	return out, nil
}

// fromText reads a parameter as a person types it: lists with commas or as
// JSON, objects as JSON.
func fromText(param Param, raw string) (any, error) {
	var v any = raw
	switch param.Type {
	case action.Int:
		if n, err := strconv.ParseInt(raw, 10, 64); err == nil {
			v = n
		}
	case action.Float:
		if n, err := strconv.ParseFloat(raw, 64); err == nil {
			v = n
		}
	case action.Bool:
		if b, err := strconv.ParseBool(raw); err == nil {
			v = b
		}
	case action.Strings:
		if strings.HasPrefix(strings.TrimSpace(raw), "[") {
			v = fromJSON(raw)
		} else {
			v = strings.Split(raw, ",")
		}
	case action.Object:
		v = fromJSON(raw)
	case action.String, action.Duration:
	}
	return typed(param.Name, param.Type, v)
}

// fromJSON gives raw itself if it is no JSON: its type then does not fit.
func fromJSON(raw string) any {
	var v any
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		return raw
	}
	return v
}
