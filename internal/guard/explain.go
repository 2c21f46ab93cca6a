package guard

import (
	"context"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Explanation says what would be allowed now and why, rule by rule, on what
// evidence.
type Explanation struct {
	Request Request
	Asked   string          // the action that was asked about; empty: a playbook
	Of      heal.IncidentID // the case it would belong to; empty: none is open
	At      time.Time
	Verdict Verdict   // the answer: the first refusal, or that nothing stands against it
	Rules   []Finding // what every rule says, in the order they are asked
	Scopes  []ScopeFacts
	Target  []Entry // what the history has of the target, newest first
	Case    []Entry // and of the case
}

// Finding is what one rule says.
type Finding struct {
	Rule   Rule
	Allows bool
	Reason heal.Reason
	Retry  time.Time // when it may say otherwise; zero: never by itself
}

// Explain judges a request by every rule and tells all they say. Nothing is
// reserved or recorded.
func Explain(r store.Reader, req Request, l Limits, now time.Time) (Explanation, error) {
	h, _, err := history(r, req, l, now)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{Request: req, At: now, Verdict: Judge(req, h, l, now), Scopes: h.Scopes, Target: h.Target, Case: h.Case}
	q := ask(req, h, l, now)
	for _, g := range guards {
		v := g.judge(q)
		f := Finding{Rule: g.rule, Allows: v.Allowed(), Reason: v.Reason, Retry: v.Retry}
		if f.Allows {
			f.Reason = heal.Reason{Code: "guard_allows", Text: g.clear(q)}
		}
		e.Rules = append(e.Rules, f)
	}
	return e, nil
}

// Explainer answers people who ask what would be allowed.
type Explainer struct {
	Store  store.Store
	Limits Limits
	Impact func(action string) (action.Impact, bool) // of an action; false: there is no such action
	Scope  func(heal.EntityID) heal.Scope            // where an entity lies
	Clock  func() time.Time
}

// nobodysCase stands for a case that is not open yet.
const nobodysCase heal.IncidentID = "none"

// Explain says what automation would be allowed to do to a target now: by one
// action, or, if that is empty, by a playbook. An action nobody knows is
// Invalid.
func (x *Explainer) Explain(ctx context.Context, target heal.EntityID, name string) (Explanation, error) {
	req := Request{Incident: nobodysCase, Attempt: 1, Target: target, Scope: x.Scope(target), Action: "a playbook", Touches: true}
	if name != "" {
		impact, ok := x.Impact(name)
		if !ok {
			return Explanation{}, heal.Errorf(heal.Invalid, "explain", "there is no action %q", name)
		}
		req.Action, req.Impact, req.Touches = name, impact, impact != action.Harmless
	}
	var e Explanation
	err := x.Store.View(ctx, func(r store.Reader) error {
		of, err := openCase(r, target)
		if err != nil {
			return err
		}
		if of != nil {
			req.Incident, req.Attempt = of.ID, len(of.Attempts)+1
			req.Scope = of.Scope.WithService(req.Scope.Service)
		}
		e, err = Explain(r, req, x.Limits, x.Clock())
		if e.Asked = name; of != nil {
			e.Of = of.ID
		}
		return err
	})
	return e, err
}

// openCase finds the open case whose cause an entity is; nil if there is none.
func openCase(r store.Reader, target heal.EntityID) (*heal.Incident, error) {
	if target.Validate() != nil {
		return nil, nil
	}
	rows, _, err := store.IncidentKind.List(r, store.Query{
		Where: []store.Cond{{Column: "open", Op: store.Eq, Value: int64(1)}, {Column: "cause", Op: store.Eq, Value: string(target)}},
		Order: "updated", Desc: true, Limit: 1,
	})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0].Value, nil
}
