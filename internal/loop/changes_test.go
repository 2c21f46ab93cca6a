package loop_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/topology"
	"github.com/homeostat/homeostat/internal/verify"
)

// deploy is a change of a service so long from now.
func (r *rig) deploy(service string, after time.Duration) heal.Change {
	return heal.Change{
		ID: heal.ChangeID("deploy-" + service), Kind: heal.ChangeDeploy, Entity: heal.ServiceID(service), Scope: heal.DefaultScope.WithService(service),
		At: r.clock().Add(after), By: "ci", Version: "1.4.2", Source: heal.FromCaller,
	}
}

func (r *rig) changed(c heal.Change) {
	r.t.Helper()
	if _, err := r.loop.Changed(context.Background(), c); err != nil {
		r.t.Fatal(err)
	}
}

// TestChangesAsSuspects: front, which calls cart and pay, is slow; monitors of
// both fail, and nothing but what was changed tells them apart.
func TestChangesAsSuspects(t *testing.T) {
	tests := []struct {
		name    string
		changes func(*rig)
		first   heal.EntityID
		says    string // among the reasons for the first candidate; "": none speaks of a change
		noted   string // among what else was seen; "": nothing of a change
	}{
		{"nothing was changed", func(*rig) {}, "service/cart", "", ""},
		{"a deploy before", func(r *rig) { r.changed(r.deploy("pay", -2*time.Minute)) }, "service/pay", "deploy of 1.4.2 by ci", "service/pay was changed 2m0s before the case began: deploy of 1.4.2 by ci"},
		{"a deploy after the onset", func(r *rig) { r.changed(r.deploy("pay", time.Second)) }, "service/cart", "", "service/pay was changed 1s after the case had begun"},
		{"a deploy of another service", func(r *rig) { r.changed(r.deploy("mail", -2*time.Minute)) }, "service/cart", "", ""},
		{"a deploy long ago", func(r *rig) { r.changed(r.deploy("pay", -3*time.Hour)) }, "service/cart", "", ""},
		{"a deploy of the same name elsewhere", func(r *rig) {
			c := r.deploy("pay", -2*time.Minute)
			c.Scope.Env = "staging"
			r.changed(c)
		}, "service/cart", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inRigOf(t, nil, loop.Options{Settle: 5 * time.Second}, func(t *testing.T, r *rig) {
				r.graph.Observe([]topology.Observation{
					{From: "service/front", To: "service/cart", Source: "test", At: r.clock()}, {From: "service/front", To: "service/pay", Source: "test", At: r.clock()},
				}, r.clock())
				tt.changes(r)
				for _, name := range []string{"cart", "pay"} {
					r.board.probes[heal.ServiceID(name)] = func() verify.Probe {
						return verify.Probe{Name: name, Since: r.clock().Add(-scrape), CheckedAt: r.clock(), Error: "it answered 500"}
					}
				}
				r.accept(slow("front"))
				inc := r.untilCase(heal.CaseEscalated)
				d := inc.Diagnosis
				if d.Top() == nil || d.Top().Entity != tt.first {
					t.Fatalf("got %+v, want %s first", d.Causes, tt.first)
				}
				reason := func(list []heal.Reason, code string) string {
					for _, r := range list {
						if r.Code == code {
							return r.Text
						}
					}
					return ""
				}
				if got := reason(d.Top().For, "recent_change"); !strings.Contains(got, tt.says) || (got == "") != (tt.says == "") {
					t.Errorf("for it: got %q, want %q", got, tt.says)
				}
				for _, c := range all(r, store.ChangeKind) {
					if known := len(c.Suspected) == 1 && c.Suspected[0].Incident == inc.ID; known != (tt.says != "") {
						t.Errorf("the change is kept with the cases %v, want it with this one: %v", c.Suspected, tt.says != "")
					}
				}
				if got := reason(d.Noted, "changed"); !strings.Contains(got, tt.noted) || (got == "") != (tt.noted == "") {
					t.Errorf("noted: got %q, want %q", got, tt.noted)
				}
				if tt.name == "a deploy after the onset" {
					i := slices.IndexFunc(d.Causes, func(c heal.Cause) bool { return c.Entity == "service/pay" })
					if i < 0 || !strings.Contains(reason(d.Causes[i].Against, "change_after"), "not what began it") {
						t.Errorf("against pay: got %+v, want that its deploy came too late", d.Causes)
					}
				}
				for _, c := range d.Causes {
					if c.Entity == "service/mail" {
						t.Errorf("mail is a candidate, which nothing ties to the case: %+v", c)
					}
				}
			})
		})
	}
}

func TestChangesAreWrittenOnce(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		c := r.deploy("pay", -time.Minute)
		r.changed(c)
		r.changed(c)
		untimed := c
		untimed.At = time.Time{}
		r.changed(untimed)
		if got := len(all(r, store.ChangeKind)); got != 1 {
			t.Errorf("the same told three times: got %d, want 1", got)
		}
		other := c
		other.Summary = "another"
		if _, err := r.loop.Changed(t.Context(), other); !heal.Is(err, heal.Conflict) {
			t.Errorf("the id for something else: got %v, want a conflict", err)
		}
		for _, at := range []time.Duration{10 * time.Minute, -91 * 24 * time.Hour} {
			if _, err := r.loop.Changed(t.Context(), r.deploy("cart", at)); !heal.Is(err, heal.Invalid) {
				t.Errorf("a change %s from now: got %v, want it refused", at, err)
			}
		}
	})
}

// TestDeploysSeenTwice: what telemetry shows is written once, however many
// servers see it, and not at all where somebody told of it.
func TestDeploysSeenTwice(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		seen := func(service, version string, after time.Duration) heal.Change {
			c := r.deploy(service, after)
			c.ID, c.By, c.Version, c.Source = heal.ChangeID(fmt.Sprint("seen/", service, version, after)), "", version, heal.FromTelemetry
			return c
		}
		r.changed(seen("cart", "2", 0))
		r.changed(seen("cart", "2", time.Minute))
		if got := len(all(r, store.ChangeKind)); got != 1 {
			t.Errorf("seen by two servers: got %d, want 1", got)
		}
		r.changed(seen("cart", "1", 2*time.Minute))
		if got := len(all(r, store.ChangeKind)); got != 2 {
			t.Errorf("back to the version before: got %d, want 2", got)
		}
		// What was told since a service was heard last is what shows when it is heard
		// again, if nothing came after.
		tests := []struct {
			name, service string
			told          []string // one an hour, from five hours ago on
			since, at     time.Duration
			known         bool
		}{
			{"told while nobody listened", "a", []string{"2"}, -6 * time.Hour, 0, true},
			{"told of no version", "b", []string{""}, -6 * time.Hour, 0, true},
			{"told before it was heard last", "c", []string{"2"}, -time.Hour, 0, false},
			{"changed again after it was told", "d", []string{"2", "1"}, -6 * time.Hour, 0, false},
			{"the last of two", "e", []string{"1", "2"}, -6 * time.Hour, 0, true},
			{"heard of a time after", "f", []string{"2"}, time.Hour, 0, false},
		}
		for _, tt := range tests {
			for i, version := range tt.told {
				c := r.deploy(tt.service, time.Duration(i-5)*time.Hour)
				c.ID, c.Version = heal.ChangeID(fmt.Sprint(tt.service, i)), version
				r.changed(c)
			}
			before := len(all(r, store.ChangeKind))
			if _, err := r.loop.Noticed(t.Context(), seen(tt.service, "2", tt.at), r.clock().Add(tt.since)); err != nil {
				t.Fatal(err)
			}
			if known := len(all(r, store.ChangeKind)) == before; known != tt.known {
				t.Errorf("%s: it is the same: got %v, want %v", tt.name, known, tt.known)
			}
		}
		base := len(all(r, store.ChangeKind)) - 2
		r.changed(r.deploy("pay", 0))
		r.changed(seen("pay", "1.4.2", 30*time.Second))
		if got := len(all(r, store.ChangeKind)) - base; got != 3 {
			t.Errorf("seen after it was told: got %d, want 3", got)
		}
	})
}
