package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Guard says what the safety kernel would allow; guard.Explainer is one.
type Guard interface {
	Explain(ctx context.Context, target heal.EntityID, action string) (guard.Explanation, error)
}

type explainCall struct {
	Target string `query:"target" required:"true" maxLength:"512" doc:"Exactly one entity, as kind/name." example:"service/cart"`
	Action string `query:"action" maxLength:"128" doc:"An action; absent: what automation would begin." example:"process.restart"`
}

type closeBreaker struct {
	Write
	Body form.BreakerOrder
}

func (s *server) guards() {
	handle(s, route{
		method: http.MethodGet, path: "/guard/explain", id: "explain-guard", tag: "guard", summary: "What would be allowed now, and why",
		about:  "Every rule of the safety kernel is asked about what automation would do to the target, and says what it found and on what evidence. Nothing is reserved.",
		errors: []int{http.StatusUnprocessableEntity},
	}, s.explain)
	handle(s, route{
		method: http.MethodGet, path: "/guard/breakers", id: "list-breakers", tag: "guard", summary: "The breakers that ever opened",
	}, s.breakers)
	handle(s, route{
		method: http.MethodPost, path: "/guard/breakers/close", id: "close-breaker", tag: "guard", summary: "Close the breaker of a scope",
		about:  "Automation may begin things there again. What was done in vain before counts no more. Needs operator in the whole scope of the breaker.",
		errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}, s.closeBreaker)
}

func (s *server) explain(ctx context.Context, in *explainCall) (*body[form.GuardExplanation], error) {
	may, err := reader(ctx)
	if err != nil {
		return nil, err
	}
	e, err := s.Guard.Explain(ctx, heal.EntityID(in.Target), in.Action)
	if heal.Is(err, heal.Invalid) {
		return nil, refusal(http.StatusUnprocessableEntity, "%v", err)
	}
	if err != nil {
		return nil, err
	}
	if !may(e.Request.Scope) {
		return nil, auth.Can(ctx, auth.Read, e.Request.Scope)
	}
	return answer(ofExplanation(&e)), nil
}

func (s *server) breakers(ctx context.Context, _ *struct{}) (*body[form.Breakers], error) {
	may, err := reader(ctx)
	if err != nil {
		return nil, err
	}
	out := form.Breakers{Items: []form.Breaker{}}
	err = s.Store.View(ctx, func(r store.Reader) error {
		all, err := guard.Breakers(r)
		for _, b := range all {
			if may(b.Scope) || reachesCaller(ctx, b.Scope) {
				out.Items = append(out.Items, ofBreaker(b))
			}
		}
		return err
	})
	return answer(out), err
}

func (s *server) closeBreaker(ctx context.Context, in *closeBreaker) (*body[form.Breaker], error) {
	scope, err := heal.ParseScope(in.Body.Scope)
	if err != nil {
		return nil, refusal(http.StatusUnprocessableEntity, "%v", err)
	}
	if err := auth.Can(ctx, auth.Operate, scope); err != nil {
		return nil, err
	}
	var closed guard.Switch
	err = s.Store.Update(ctx, func(tx store.Tx) (err error) {
		closed, err = guard.CloseBreaker(tx, scope, caller(ctx), in.Body.Reason, s.Clock().UTC())
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer(ofBreaker(closed)), nil
}

func ofBreaker(b guard.Switch) form.Breaker {
	return form.Breaker{Scope: whereOf(b.Scope), Open: b.On, By: b.By, Reason: b.Why, At: b.At.UTC()}
}

func ofExplanation(e *guard.Explanation) form.GuardExplanation {
	out := form.GuardExplanation{
		Target: string(e.Request.Target), Action: e.Asked, Impact: string(e.Request.Impact), Scope: whereOf(e.Request.Scope),
		Case: string(e.Of), Attempt: e.Request.Attempt, At: e.At.UTC(), Allowed: e.Verdict.Allowed(), Rule: string(e.Verdict.Rule),
		Reason: form.OfReason(e.Verdict.Reason), Retry: e.Verdict.Retry.UTC(),
		Rules: []form.GuardRule{}, Scopes: []form.GuardScope{}, Entries: []form.GuardHappen{},
	}
	for _, f := range e.Rules {
		out.Rules = append(out.Rules, form.GuardRule{Rule: string(f.Rule), Allows: f.Allows, Reason: form.OfReason(f.Reason), Retry: f.Retry.UTC()})
	}
	for i := range e.Scopes {
		out.Scopes = append(out.Scopes, ofScopeFacts(&e.Scopes[i]))
	}
	seen := map[form.GuardHappen]bool{}
	for _, h := range slices.Concat(e.Target, e.Case) {
		line := form.GuardHappen{At: h.At.UTC(), What: string(h.Event), Target: string(h.Target), Run: string(h.Run), Incident: string(h.Incident)}
		if !seen[line] {
			seen[line] = true
			out.Entries = append(out.Entries, line)
		}
	}
	slices.SortStableFunc(out.Entries, func(a, b form.GuardHappen) int { return cmp.Compare(b.At.UnixNano(), a.At.UnixNano()) })
	return out
}

func ofScopeFacts(f *guard.ScopeFacts) form.GuardScope {
	out := form.GuardScope{
		Scope: whereOf(f.Scope), Known: f.Known, Instances: f.Instances, Bad: f.Bad, Worst: []string{},
		Fault: f.Spread.Fault, FaultReach: f.Spread.Entities, Acted: []form.GuardHappen{}, At: f.At.UTC(),
	}
	for _, e := range f.Worst {
		out.Worst = append(out.Worst, string(e))
	}
	for _, a := range f.Acted {
		out.Acted = append(out.Acted, form.GuardHappen{At: a.At.UTC(), What: string(guard.Began), Target: string(a.Target), Run: string(a.Run)})
	}
	return out
}
