package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

type switchCall struct {
	Write
	IfMatch string `header:"If-Match" maxLength:"200" doc:"The etag of the switch as it was seen; 412 if it was turned since."`
	Body    form.SwitchOrder
}

type switchAnswer struct {
	ETag string `header:"ETag"`
	Body form.Switch
}

func (s *server) switches() {
	handle(s, route{
		method: http.MethodGet, path: "/kill-switch", id: "list-kill-switches", tag: "kill switch", summary: "The kill switches ever turned",
	}, func(ctx context.Context, _ *struct{}) (*body[form.Switches], error) {
		may, err := reader(ctx)
		if err != nil {
			return nil, err
		}
		out := form.Switches{Items: []form.Switch{}}
		err = s.Store.View(ctx, func(r store.Reader) error {
			all, err := guard.Switches(r)
			for _, sw := range all {
				// One that reaches what the caller sees concerns them too.
				if may(sw.Scope) || reachesCaller(ctx, sw.Scope) {
					out.Items = append(out.Items, ofSwitch(sw))
				}
			}
			return err
		})
		return answer(out), err
	})
	handle(s, route{
		method: http.MethodPut, path: "/kill-switch", id: "turn-kill-switch", tag: "kill switch",
		errors:  []int{http.StatusPreconditionFailed, http.StatusUnprocessableEntity},
		summary: "Turn the kill switch of a scope on or off",
		about: "While it is on, nothing touches what lies in its scope; steps in flight see it at their next safe point. " +
			"Both ways need operator in the whole scope of the switch.",
	}, s.turn)
}

func (s *server) turn(ctx context.Context, in *switchCall) (*switchAnswer, error) {
	scope, err := heal.ParseScope(in.Body.Scope)
	if err != nil {
		return nil, refusal(http.StatusUnprocessableEntity, "%v", err)
	}
	if err := auth.Can(ctx, auth.Operate, scope); err != nil {
		return nil, err
	}
	next := guard.Switch{Scope: scope, On: in.Body.On, By: caller(ctx), Why: in.Body.Reason, At: s.Clock().UTC()}
	err = s.Store.Update(ctx, func(tx store.Tx) error {
		if in.IfMatch != "" {
			all, err := guard.Switches(tx)
			if err != nil {
				return err
			}
			if !matches(in.IfMatch, all, scope) {
				return refusal(http.StatusPreconditionFailed, "the switch was turned since you looked; look again")
			}
		}
		return guard.Turn(tx, next)
	})
	if err != nil {
		return nil, err
	}
	out := ofSwitch(next)
	return &switchAnswer{ETag: out.ETag, Body: out}, nil
}

// matches reports whether the switch of the scope is as the caller saw it.
func matches(ifMatch string, all []guard.Switch, scope heal.Scope) bool {
	for _, sw := range all {
		if sw.Scope != scope {
			continue
		}
		for want := range strings.SplitSeq(ifMatch, ",") {
			if want = strings.TrimSpace(want); want == "*" || want == ofSwitch(sw).ETag {
				return true
			}
		}
	}
	return false
}

// reachesCaller reports whether a scope holds any of those the caller sees.
func reachesCaller(ctx context.Context, scope heal.Scope) bool {
	p, _ := auth.From(ctx)
	return slices.ContainsFunc(p.Scopes(auth.Read), scope.Contains)
}

func ofSwitch(s guard.Switch) form.Switch {
	out := form.Switch{Scope: whereOf(s.Scope), On: s.On, By: s.By, Reason: s.Why, At: s.At.UTC()}
	on := "off"
	if s.On {
		on = "on"
	}
	out.ETag = `"` + digest(out.Scope, on, out.By, out.Reason, out.At.Format("2006-01-02T15:04:05.999999999Z07:00"))[:32] + `"`
	return out
}

// whereOf gives a scope as ParseScope takes it.
func whereOf(s heal.Scope) string {
	return strings.TrimRight(s.String(), "/")
}
