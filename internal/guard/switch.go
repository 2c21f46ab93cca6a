package guard

import (
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Switch is one kill switch: while it is on, nothing touches its scope. A
// breaker is one too, which automation turned on for itself and only a person
// turns off; a version that does not know breakers takes one as a kill switch.
type Switch struct {
	Kind  kindOf     `json:"kind,omitempty"`
	Scope heal.Scope `json:"scope"` // empty parts stand for every value; all empty: everything
	On    bool       `json:"on"`
	By    string     `json:"by"`
	Why   string     `json:"why"`
	At    time.Time  `json:"at"`
}

// kindOf tells kill switches and what lies beside them apart.
type kindOf string

const (
	kindKill    kindOf = ""
	kindBreaker kindOf = "breaker"
	kindPaged   kindOf = "paged" // never on: when people were last told of a scope
)

// Where names the scope of the switch in words.
func (s Switch) Where() string {
	if s.Scope == (heal.Scope{}) {
		return "everything"
	}
	return s.Scope.String()
}

var switchKind = store.Kind[Switch]{
	Table: store.Switches, Version: 1,
	Key: func(s *Switch) string {
		if s.Kind == kindKill {
			return s.Scope.String()
		}
		return "*" + string(s.Kind) + ":" + s.Scope.String()
	},
}

// Turn turns the kill switch of a scope on or off.
func Turn(tx store.Tx, s Switch) error {
	s.Kind = kindKill
	_, err := switchKind.Put(tx, &s, store.Any)
	return err
}

// Switches lists all kill switches, also those that are off.
func Switches(r store.Reader) ([]Switch, error) {
	return switchesOf(r, kindKill)
}

func switchesOf(r store.Reader, kind kindOf) ([]Switch, error) {
	all, err := allSwitches(r)
	return slices.DeleteFunc(all, func(s Switch) bool { return s.Kind != kind }), err
}

func allSwitches(r store.Reader) ([]Switch, error) {
	rows, err := switchKind.All(r, store.Query{})
	list := make([]Switch, len(rows))
	for i := range rows {
		list[i] = rows[i].Value
	}
	return list, err
}

// reaching keeps the switches of a kind that are on and reach the scope.
func reaching(all []Switch, kind kindOf, scope heal.Scope) []Switch {
	var on []Switch
	for _, s := range all {
		if s.On && s.Kind == kind && s.Scope.Contains(scope) {
			on = append(on, s)
		}
	}
	return on
}

// pageAgain is how long people who were told of a scope are not told again.
const pageAgain = 15 * time.Minute

// Page reports whether a person must hear of a verdict now, and notes that they
// do: many cases are held back by one storm, and one word is enough.
func Page(tx store.Tx, v Verdict, now time.Time) (bool, error) {
	if !v.Page {
		return false, nil
	}
	told := Switch{Kind: kindPaged, Scope: v.Scope, By: string(v.Rule), Why: v.Reason.Text, At: now}
	before, err := switchKind.Get(tx, switchKind.Key(&told))
	if err != nil && !heal.Is(err, heal.NotFound) {
		return false, err
	}
	if err == nil && before.Value.By == told.By && now.Before(before.Value.At.Add(pageAgain)) {
		return false, nil
	}
	_, err = switchKind.Put(tx, &told, store.Any)
	return err == nil, err
}

// Recall makes a verdict of the reason it gave, as far as Page needs it. scope
// is that of the request.
func Recall(reason heal.Reason, scope heal.Scope) Verdict {
	rule, _ := strings.CutPrefix(reason.Code, codePrefix)
	v := Verdict{Rule: Rule(rule), Reason: reason, Scope: scope}
	switch v.Rule {
	case RuleStorm:
		v.Page = true
		if text, ok := reason.Data["scope"].(string); ok {
			if s, err := heal.ParseScope(strings.TrimRight(text, "/")); err == nil {
				v.Scope = s
			}
		}
	case RuleFreeze:
		v.Page = true
	case RuleClock:
		v.Page, v.Scope = true, heal.Scope{}
	case RuleTarget, RuleSwitch, RuleImpact, RuleBreaker, RuleAttempts, RuleSpacing, RuleCooldown, RuleSmall, RuleBlast, RuleQuota, RuleLease:
	}
	return v
}
