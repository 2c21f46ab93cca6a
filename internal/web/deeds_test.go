package web_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/internal/api/apitest"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// TestDeeds does each thing by its form, first as somebody who may not.
func TestDeeds(t *testing.T) {
	incident := func(h *house, id string) (c heal.Incident) {
		must(t, h.Store.View(t.Context(), func(r store.Reader) error {
			got, err := store.IncidentKind.Get(r, id)
			c = got.Value
			return err
		}))
		return c
	}
	alert := func(h *house) (a heal.Alert) {
		must(t, h.Store.View(t.Context(), func(r store.Reader) error {
			got, err := store.AlertKind.Get(r, apitest.CartAlert)
			a = got.Value
			return err
		}))
		return a
	}
	tests := []struct {
		name, role string
		path       func(h *house) string
		form       []string
		done       func(h *house, answer reply) bool
	}{
		{"note", "operator", at("/cases/" + apitest.PayCase + "/note"), []string{"reason", "the provider says so"}, func(h *house, _ reply) bool { return incident(h, apitest.PayCase).Entries == 1 }},
		{"take over", "operator", at("/cases/" + apitest.PayCase + "/take-over"), nil, func(h *house, _ reply) bool { return incident(h, apitest.PayCase).State == heal.CaseEscalated }},
		{"escalate", "operator", at("/cases/" + apitest.PayCase + "/escalate"), []string{"reason", "too strange"}, func(h *house, _ reply) bool { return incident(h, apitest.PayCase).State == heal.CaseEscalated }},
		{"close", "operator", at("/cases/" + apitest.PayCase + "/close"), []string{"reason", "done by hand"}, func(h *house, _ reply) bool { return incident(h, apitest.PayCase).State == heal.CaseClosed }},
		{"acknowledge", "operator", at("/alerts/" + apitest.CartAlert + "/ack"), []string{"note", "mine"}, func(h *house, _ reply) bool { return alert(h).AcknowledgedBy == "operator" }},
		{"resolve", "operator", at("/alerts/" + apitest.CartAlert + "/resolve"), nil, func(h *house, _ reply) bool { return alert(h).Status == heal.Resolved }},
		{"cancel a run", "operator", func(h *house) string { return "/runs/" + h.waitingRun(t) + "/cancel" }, []string{"reason", "not now"}, func(_ *house, r reply) bool { return r.status == 303 }},
		{"dry run", "operator", at("/playbooks/touch/try"), []string{"target", "service/cart", "for", "dry"}, func(h *house, r reply) bool {
			return strings.Contains(r.body, "Would do world.touch to service/cart.") && len(h.World.Touched()) == 0
		}},
		{"run", "operator", at("/playbooks/touch/try"), []string{"target", "service/cart", "for", "real", "param.end", "well"}, func(h *house, r reply) bool {
			id := strings.TrimPrefix(r.header.Get("Location"), "/runs/")
			return h.Until(t, id, func(r *heal.Run) bool { return r.State.Ended() }).State == heal.RunSucceeded
		}},
		{"publish", "admin", at("/playbooks/touch/publish"), []string{"reason", "a new name", "source", "playbook_id: touch\r\nname: Touch it anew\r\ntasks:\r\n  - id: touch\r\n    action: world.touch\r\n"}, func(h *house, _ reply) bool {
			return strings.Contains(h.as(t, "viewer").get("/playbooks/touch?tab=versions").body, "a new name")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := open(t)
			h.Seed(t)
			path := tt.path(h)
			for _, role := range []string{"viewer", tt.role} {
				b := h.as(t, role)
				got := b.post(path, append([]string{"csrf", b.csrf(), "back", "/"}, tt.form...)...)
				if role == "viewer" {
					if got.status != 403 {
						t.Errorf("a viewer gets %d, want 403: %s", got.status, got.body)
					}
					continue
				}
				if got.status >= 400 || !tt.done(h, got) {
					t.Errorf("as %s it is not done: %d to %q %s", role, got.status, got.header.Get("Location"), got.body)
				}
			}
		})
	}
}

func at(path string) func(*house) string { return func(*house) string { return path } }

// forms finds what a page offers to do.
var forms = regexp.MustCompile(`hx-post="([^"]+)"`)

// TestViewersAreOfferedNothing: what somebody may not do is not offered. To see
// what is wrong with a source needs no more than to read.
func TestViewersAreOfferedNothing(t *testing.T) {
	h := open(t)
	h.Seed(t)
	run := h.waitingRun(t)
	b, operator := h.as(t, "viewer"), h.as(t, "operator")
	offered := 0
	for _, path := range append([]string{"/runs/" + run}, everyPage...) {
		for _, found := range forms.FindAllStringSubmatch(b.get(path).body, -1) {
			if found[1] != "/playbooks/touch/check" {
				t.Errorf("%s offers a viewer %s", path, found[1])
			}
		}
		offered += len(forms.FindAllString(operator.get(path).body, -1))
	}
	if offered < 10 {
		t.Errorf("an operator is offered %d things on all pages, want 10 at least", offered)
	}
}

// TestMistakesStandWhereTheyAre shows a source with its mistakes.
func TestMistakesStandWhereTheyAre(t *testing.T) {
	h := open(t)
	b := h.as(t, "viewer")
	got := b.post("/playbooks/touch/check", "csrf", b.csrf(), "source", "playbook_id: touch\nname: T\ntasks:\n  - id: a\n    action: world.tuch\n")
	if want := regexp.MustCompile(`line wrong">    action: world\.tuch</span><span class="why">[^<]*world\.tuch`); !want.MatchString(got.body) {
		t.Errorf("got %d %s", got.status, got.body)
	}
}
