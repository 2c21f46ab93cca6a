package loop_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
)

// silence holds the alerts of a service back for a time.
func (r *rig) silence(service string, lasts time.Duration) heal.Silence {
	r.t.Helper()
	s, err := r.loop.Silence(context.Background(), heal.Silence{
		Matchers: []heal.Matcher{{Label: "service", Op: heal.MatchEqual, Value: service}}, Ends: r.clock().Add(lasts), Reason: "a known fault", Author: "ada",
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// alertOf gives the alert of a service, and what happened to it but repeats.
func (r *rig) alertOf(service string) (a heal.Alert, changes []heal.AlertChange) {
	r.t.Helper()
	for _, one := range all(r, store.AlertKind) {
		if one.ServiceName == service {
			a = one
		}
	}
	for _, e := range all(r, store.AlertEventKind) {
		if e.AlertID == a.ID && e.Change != heal.AlertRepeated {
			changes = append(changes, e.Change)
		}
	}
	return a, changes
}

func (r *rig) untilSilenced(service string, by heal.SilenceID) {
	r.t.Helper()
	r.until("the alert of "+service+" to be held by "+string(by), func() bool { a, _ := r.alertOf(service); return a.ID != "" && a.SilencedBy == by })
}

func (r *rig) wantQuiet() {
	r.t.Helper()
	if len(r.cases()) > 0 || len(r.phone.texts(heal.Critical)) > 0 || len(r.world.done()) > 0 {
		r.t.Errorf("got %d messages, did %v, and there is:\n%s\nwant nothing", len(r.phone.texts(heal.Critical)), r.world.done(), r.dump())
	}
}

// TestSilence: while a silence holds an alert, nothing is done about it and
// nobody hears of it; others are not touched by it. How it ends decides what
// comes then.
func TestSilence(t *testing.T) {
	held := []heal.AlertChange{heal.AlertOpened, heal.AlertSilenced}
	tests := []struct {
		name    string
		during  func(*rig, heal.Silence) // after 5 of its 20 minutes
		cases   int
		changes []heal.AlertChange
	}{
		{"it runs out", func(*rig, heal.Silence) {}, 1, append(held, heal.AlertUnsilenced)},
		{"somebody ends it", func(r *rig, s heal.Silence) {
			if _, err := r.loop.EndSilence(context.Background(), s.ID, "bo"); err != nil {
				r.t.Fatal(err)
			}
			r.pass(10 * time.Second)
			if len(r.cases()) != 1 {
				r.t.Errorf("10 s after its end: got %d cases, want 1", len(r.cases()))
			}
		}, 1, append(held, heal.AlertUnsilenced)},
		{"another takes over for as long", func(r *rig, s heal.Silence) {
			r.silence("cart", 3*time.Hour)
			if _, err := r.loop.EndSilence(context.Background(), s.ID, "bo"); err != nil {
				r.t.Fatal(err)
			}
		}, 0, append(held, heal.AlertSilenced)},
		{"the fault goes away meanwhile", func(r *rig, _ heal.Silence) { r.accept(over(down("cart"))) }, 0, append(held, heal.AlertResolved)},
		{"a person resolves it", func(r *rig, _ heal.Silence) {
			a, _ := r.alertOf("cart")
			if err := r.loop.Resolve(context.Background(), a.ID, "bo", ""); err != nil {
				r.t.Fatal(err)
			}
		}, 0, append(held, heal.AlertResolved)},
		{"it goes away and comes back", func(r *rig, _ heal.Silence) {
			r.accept(over(down("cart")))
			r.pass(2 * time.Minute)
			r.accept(down("cart"))
		}, 1, append(held, heal.AlertResolved, heal.AlertReopened, heal.AlertSilenced, heal.AlertUnsilenced)},
		{"somebody looks after it", func(r *rig, _ heal.Silence) {
			a, _ := r.alertOf("cart")
			if err := r.loop.Acknowledge(context.Background(), a.ID, "bo", ""); err != nil {
				r.t.Fatal(err)
			}
		}, 1, append(held, heal.AlertAcknowledged, heal.AlertUnsilenced)},
		{"the server stops and starts", func(r *rig, _ heal.Silence) { r.halt(); r.open(-1); r.start() }, 1, append(held, heal.AlertUnsilenced)},
		{"the server is away when it ends", func(r *rig, _ heal.Silence) { r.halt(); r.pass(30 * time.Minute); r.open(-1); r.start() }, 1, append(held, heal.AlertUnsilenced)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
				s := r.silence("cart", 20*time.Minute)
				r.world.breaks("fix.restart", "cart")
				for range 5 {
					r.accept(down("cart"))
					r.pass(time.Minute)
				}
				r.untilSilenced("cart", s.ID)
				r.wantQuiet()
				tt.during(r, s)
				r.pass(20 * time.Minute)
				if got := len(r.cases()); got != tt.cases {
					t.Fatalf("got %d cases, want %d:\n%s", got, tt.cases, r.dump())
				}
				if tt.cases > 0 {
					r.untilCase(heal.CaseHealed)
				}
				if _, got := r.alertOf("cart"); !slices.Equal(got, tt.changes) {
					t.Errorf("history: got %v, want %v", got, tt.changes)
				}
			})
		})
	}
}

// TestSilenceHoldsNothingElse: what it does not match is healed as ever.
func TestSilenceHoldsNothingElse(t *testing.T) {
	inRig(t, []string{"restart"}, func(t *testing.T, r *rig) {
		r.silence("cart", time.Hour)
		r.world.breaks("fix.restart", "cart", "pay")
		r.accept(down("cart"), down("pay"))
		r.untilCase(heal.CaseHealed)
		if diff := cmp.Diff(r.world.done(), []string{"fix.restart service/pay"}); diff != "" {
			t.Errorf("effects (-got +want):\n%s", diff)
		}
	})
}

// TestSilenceOfWhatIsACase: a silence leaves cases that are there to people, and
// holds what their alerts say from then on. It may begin later.
func TestSilenceOfWhatIsACase(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		r.world.breaks("", "cart")
		r.accept(down("cart"))
		inc := r.untilCase(heal.CaseEscalated)
		s, err := r.loop.Silence(context.Background(), heal.Silence{
			Scope: heal.DefaultScope, Matchers: []heal.Matcher{{Label: "alertname", Op: heal.MatchRegex, Value: "Service.*"}},
			Starts: r.clock().Add(5 * time.Minute), Ends: r.clock().Add(time.Hour), Reason: "they know", Author: "ada",
		})
		if err != nil {
			t.Fatal(err)
		}
		r.pass(time.Minute)
		if a, _ := r.alertOf("cart"); a.SilencedBy != "" {
			t.Errorf("before it begins: got an alert held by %s", a.SilencedBy)
		}
		r.untilSilenced("cart", s.ID)
		if err := r.loop.Close(context.Background(), inc.ID, "bo", "the provider works on it"); err != nil {
			t.Fatal(err)
		}
		worse := down("cart")
		worse.Severity = heal.Warning
		r.accept(worse)
		r.pass(30 * time.Minute)
		if n := len(r.cases()); n != 1 {
			t.Errorf("while it holds: got %d cases, want the one that was closed", n)
		}
		r.pass(30 * time.Minute)
		if n := len(r.cases()); n != 2 {
			t.Errorf("after it: got %d cases, want another", n)
		}
	})
}

// TestSilencesOfMany: a silence that begins and ends over more alerts than one
// transaction takes holds all of them, and lets all of them go.
func TestSilencesOfMany(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		const many = 450
		alerts := make([]heal.Alert, many)
		for i := range alerts {
			alerts[i] = bare("s" + string(rune('a'+i%26)) + string(rune('a'+i/26)))
		}
		r.accept(alerts...)
		held := func() (n int64) {
			r.view(func(v store.Reader) (err error) {
				n, err = v.Count(store.Alerts, store.Cond{Column: "status", Op: store.Eq, Value: store.Silenced})
				return err
			})
			return n
		}
		s, err := r.loop.Silence(context.Background(), heal.Silence{
			Matchers: []heal.Matcher{{Label: "source", Op: heal.MatchEqual, Value: "pager"}}, Ends: r.clock().Add(time.Hour), Reason: "a storm", Author: "ada",
		})
		if err != nil {
			t.Fatal(err)
		}
		r.until("all to be held", func() bool { return held() == many })
		if _, err := r.loop.EndSilence(context.Background(), s.ID, "ada"); err != nil {
			t.Fatal(err)
		}
		r.until("all to be let go", func() bool { return held() == 0 })
	})
}

// TestServersShareSilences: a silence made at one server holds what comes in at
// another, also when the one that takes alerts goes.
func TestServersShareSilences(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, []string{"restart"}, loop.Options{})
		defer r.close()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go r.scrape(ctx)
		one, two := r.peer("one", -1), r.peer("two", -1)
		one.start()
		two.start()
		defer two.stop()
		r.world.breaks("fix.restart", "cart")
		s := two.silence("cart", 30*time.Minute)
		one.accept(down("cart"))
		r.untilSilenced("cart", s.ID)
		one.stop()
		r.pass(10 * time.Minute)
		two.accept(down("cart"))
		r.pass(10 * time.Minute)
		r.wantQuiet()
		r.untilCase(heal.CaseHealed)
	})
}

// TestEndSilence: a silence ends once, and only one that is there.
func TestEndSilence(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		s := r.silence("cart", time.Minute)
		if _, err := r.loop.EndSilence(context.Background(), "s0", "ada"); !heal.Is(err, heal.NotFound) {
			t.Errorf("one that is not there: got %v, want NotFound", err)
		}
		ended, err := r.loop.EndSilence(context.Background(), s.ID, "ada")
		if err != nil || ended.EndedBy != "ada" || ended.State(r.clock()) != heal.SilenceEnded {
			t.Errorf("got %+v, %v", ended, err)
		}
		if _, err := r.loop.EndSilence(context.Background(), s.ID, "ada"); !heal.Is(err, heal.Conflict) {
			t.Errorf("twice: got %v, want Conflict", err)
		}
	})
}
