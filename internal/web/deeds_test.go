package web_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

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
		{"silence", "operator", at("/silences"), []string{"matchers", "service=cart\r\n\r\nalertname=~\"Service.*\"", "for", "2h", "reason", "they know"}, func(h *house, _ reply) bool {
			s := silences(t, h)
			return len(s) == 1 && s[0].Matchers[1] == heal.Matcher{Label: "alertname", Op: heal.MatchRegex, Value: "Service.*"} && s[0].Ends.Sub(s[0].Starts).Round(time.Minute) == 2*time.Hour
		}},
		{"end a silence", "operator", func(h *house) string {
			b := h.as(t, "admin")
			b.post("/silences", "csrf", b.csrf(), "matchers", "service=cart", "for", "2h", "reason", "they know")
			return "/silences/" + string(silences(t, h)[0].ID) + "/end"
		}, nil, func(h *house, _ reply) bool { return silences(t, h)[0].EndedBy == "operator" }},
		{"cancel a run", "operator", func(h *house) string { return "/runs/" + h.waitingRun(t) + "/cancel" }, []string{"reason", "not now"}, func(_ *house, r reply) bool { return r.status == 303 }},
		{"pause a run", "operator", func(h *house) string { return h.started(t, "long-wait", "") + "/pause" }, []string{"reason", "look first"}, func(h *house, r reply) bool {
			return h.run(t, r, heal.RunPaused).Reason != ""
		}},
		{"resume a run", "operator", func(h *house) string {
			run, b := h.started(t, "long-wait", ""), h.as(t, "admin")
			h.run(t, b.post(run+"/pause", "csrf", b.csrf()), heal.RunPaused)
			return run + "/resume"
		}, nil, func(h *house, r reply) bool { return h.run(t, r, heal.RunRunning).ID != "" }},
		{"run again", "operator", func(h *house) string {
			run := h.started(t, "touch", "badly")
			h.Until(t, strings.TrimPrefix(run, "/runs/"), func(r *heal.Run) bool { return r.State.Ended() })
			return run + "/rerun"
		}, []string{"from", "touch", "reason", "the target is well again"}, func(h *house, r reply) bool {
			again := h.run(t, r, heal.RunFailed)
			return again.RerunOf != "" && again.Playbook == "touch"
		}},
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

// started is the path of a new run.
func (h *house) started(t *testing.T, book, end string) string {
	t.Helper()
	b := h.as(t, "admin")
	got := b.post("/playbooks/"+book+"/try", "csrf", b.csrf(), "target", "service/cart", "for", "real", "param.end", end)
	if got.status != 303 {
		t.Fatalf("start a run: %d %s", got.status, got.body)
	}
	return got.header.Get("Location")
}

// run is the run that an answer leads to, once it is in a state.
func (h *house) run(t *testing.T, r reply, state heal.RunState) heal.Run {
	t.Helper()
	return h.Until(t, strings.TrimPrefix(r.header.Get("Location"), "/runs/"), func(r *heal.Run) bool { return r.State == state })
}

func silences(t *testing.T, h *house) (all []heal.Silence) {
	t.Helper()
	must(t, h.Store.View(t.Context(), func(r store.Reader) error {
		stored, err := store.SilenceKind.All(r, store.Query{})
		for _, s := range stored {
			all = append(all, s.Value)
		}
		return err
	}))
	return all
}

// TestSilenceOfAnAlert: the form is filled in for the alert one comes from, sent
// twice it makes one silence, and what it refuses is said.
func TestSilenceOfAnAlert(t *testing.T) {
	h := open(t)
	h.Seed(t)
	b := h.as(t, "operator")
	if body := b.get("/alerts/" + apitest.CartAlert).body; !strings.Contains(body, `href="/silences?alert=`+apitest.CartAlert+`"`) {
		t.Errorf("the alert offers no silence")
	}
	page := b.get("/silences?alert=" + apitest.CartAlert).body
	for _, want := range []string{"Silence ServiceDown of cart", "alertname=&#34;ServiceDown&#34;\nservice=&#34;cart&#34;</textarea>", `name="scope" value="default/default/default/cart"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the form lacks %s: %s", want, page)
		}
	}
	fields := []string{"csrf", b.csrf(), "once", "the same form", "scope", "default", "matchers", "service=cart", "for", "1h", "reason", "they know"}
	for range 2 {
		if got := b.post("/silences", fields...); got.status != 303 {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if n := len(silences(t, h)); n != 1 {
		t.Errorf("got %d silences, want one", n)
	}
	if body := b.get("/silences").body; !strings.Contains(body, "service=&#34;cart&#34;") || !strings.Contains(body, "they know") {
		t.Errorf("it is not listed: %s", body)
	}
	if body := b.get("/alerts").body; !strings.Contains(body, "1 silence holds alerts back") {
		t.Errorf("the alerts do not tell of it: %s", body)
	}
	for _, wrong := range [][]string{{"matchers", "service=~(", "for", "1h"}, {"matchers", "service=cart", "for", "9000h"}, {"matchers", "", "for", "1h"}} {
		if got := b.post("/silences", append(wrong, "csrf", b.csrf(), "reason", "x")...); got.status != 422 {
			t.Errorf("%q: got %d, want 422: %s", wrong, got.status, got.body)
		}
	}
}

// TestSilenceFromLater: a start in the form is the start, for as long as was
// chosen, and a wrong one is refused with a word on what is wrong.
func TestSilenceFromLater(t *testing.T) {
	h := open(t)
	b := h.as(t, "operator")
	if page := b.get("/silences").body; !strings.Contains(page, `<input type="datetime-local" name="starts"`) {
		t.Errorf("the form asks for no start: %s", page)
	}
	later := time.Now().UTC().Add(26 * time.Hour).Truncate(time.Minute)
	tests := []struct {
		name, starts string
		want         time.Time // zero: now
		says         string    // "": it is taken
	}{
		{"as the script sends it", later.Format("2006-01-02T15:04:05.000Z"), later, ""},
		{"as a browser without scripts sends it, as UTC", later.Format("2006-01-02T15:04"), later, ""},
		{"none", "", time.Time{}, ""},
		{"gone by, as the API has it", "2024-01-05T10:00", time.Time{}, ""},
		{"no time", "tomorrow", time.Time{}, "From is &#34;tomorrow&#34;, expected a time as in"},
		{"too far away", later.AddDate(0, 0, 90).Format(time.RFC3339), time.Time{}, "at most 90 days, beginning within as many"},
		{"beyond all calendars", "99999-01-01T00:00", time.Time{}, "From is &#34;99999-"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := open(t)
			b := h.as(t, "operator")
			got := b.post("/silences", "csrf", b.csrf(), "matchers", "service=cart", "for", "4h", "reason", "the database is moved", "starts", tt.starts)
			if tt.says != "" {
				if got.status != 422 || !strings.Contains(got.body, tt.says) || len(silences(t, h)) != 0 {
					t.Errorf("got %d, want 422 with %q and no silence: %s", got.status, tt.says, got.body)
				}
				return
			}
			made := silences(t, h)
			if got.status != 303 || len(made) != 1 {
				t.Fatalf("got %d and %d silences: %s", got.status, len(made), got.body)
			}
			if starts := made[0].Starts; tt.want.IsZero() == (time.Until(starts) > time.Hour) || !tt.want.IsZero() && !starts.Equal(tt.want) {
				t.Errorf("it begins at %s, want %s", starts, tt.want)
			}
			if lasts := made[0].Ends.Sub(made[0].Starts).Round(time.Minute); lasts != 4*time.Hour {
				t.Errorf("it lasts %s, want 4h", lasts)
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
