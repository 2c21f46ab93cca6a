package apitest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/topology"
)

// Ids of what Seed writes. There are more cases and alerts than those with
// names: 40 of service cart, 20 of service pay, all closed or resolved.
const (
	CartCase  = "0198b7a4-6f00-7000-8000-00000000c001"
	PayCase   = "0198b7a4-6f00-7000-8000-00000000c002"
	CartAlert = "0198b7a4-6f00-7000-8000-00000000a001"
	PayAlert  = "0198b7a4-6f00-7000-8000-00000000a002"
)

// Began is when the first fault began.
var Began = time.Date(2024, 1, 5, 10, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return Began.Add(time.Duration(seconds) * time.Second) }

// Seed writes two open cases with their alerts, many old ones, and a topology.
func (h *House) Seed(t testing.TB) {
	t.Helper()
	must(t, h.Store.Update(t.Context(), func(tx store.Tx) error {
		for i := range 60 {
			service := "cart"
			if i%3 == 2 {
				service = "pay"
			}
			c := heal.Incident{
				ID: heal.IncidentID(fmt.Sprintf("0198b7a4-0000-7000-8000-%012d", i)), Scope: heal.DefaultScope.WithService(service), State: heal.CaseClosed,
				Severity: heal.Info, Title: fmt.Sprintf("old case %d", i), BeganAt: at(-1000), DetectedAt: at(-900), EndedAt: at(-800), UpdatedAt: at(-i * 10),
			}
			if _, err := store.IncidentKind.Put(tx, &c, store.Any); err != nil {
				return err
			}
			a := heal.Alert{
				ID: heal.AlertID(fmt.Sprintf("0198b7a4-0000-7000-8000-%012d", i)), Fingerprint: fmt.Sprintf("old:%d", i), SourceSystem: "old", Name: "Old",
				Severity: heal.Info, Status: heal.Resolved, ServiceName: service, Entity: heal.ServiceID(service), Scope: c.Scope, ReceivedAt: at(-i * 10),
			}
			if _, err := store.AlertKind.Put(tx, &a, store.Any); err != nil {
				return err
			}
		}
		return seedCases(tx)
	}))
	h.Topology.Observe([]topology.Observation{
		{From: "service/frontend", To: "service/cart", Source: "spans", Calls: 1000, Errors: 20, At: Began},
		{From: "service/frontend", To: "service/pay", Source: "spans", Calls: 500, At: Began},
	}, Began)
	h.Topology.Put("file", []heal.Entity{{ID: "service/cart", Scope: heal.DefaultScope.WithService("cart"), Attributes: map[string]string{"team": "shop"}}}, Began)
}

func seedCases(tx store.Tx) error {
	cart, pay := cartCase(), heal.Incident{
		ID: PayCase, Scope: heal.DefaultScope.WithService("pay"), State: heal.CaseOpen, Severity: heal.Critical, Title: "pay is slow",
		BeganAt: at(100), DetectedAt: at(110), UpdatedAt: at(120),
	}
	for _, c := range []*heal.Incident{&cart, &pay} {
		if _, err := store.IncidentKind.Put(tx, c, store.Any); err != nil {
			return err
		}
	}
	story := []heal.TimelineEntry{
		{Stage: "sense", Text: "ServiceDown fires for service/cart", At: at(5)},
		{Stage: "analyse", Text: "service/cart is the cause: its process is gone", At: at(7), Reasons: cart.Diagnosis.Reasons},
		{Stage: "decide", Text: "touch, because it healed 7 of 8 such cases", At: at(8)},
	}
	for i := range story {
		story[i].IncidentID, story[i].Seq = CartCase, int64(i+1)
		if _, err := store.TimelineKind.Put(tx, &story[i], store.Any); err != nil {
			return err
		}
	}
	if _, err := store.DecisionKind.Put(tx, cart.Decision, store.Any); err != nil {
		return err
	}
	return seedAlerts(tx)
}

func cartCase() heal.Incident {
	value := 0.0
	proof := []heal.Evidence{{Kind: heal.EvidenceProbe, Entity: "service/cart", Summary: "the process monitor fails since 10:00:03", Query: "cart-process", Value: &value, Unit: "1", At: at(3)}}
	known := heal.Reason{Code: "known_solution", Text: "touch healed 7 of 8 such cases", Data: map[string]any{"rate": 0.8}}
	decision := &heal.Decision{
		ID: "0198b7a4-6f00-7000-8000-00000000d001", IncidentID: CartCase, Attempt: 1, At: at(8), Verb: heal.VerbAct, Confidence: 0.8, Risk: heal.RiskLow,
		Plan: &heal.Plan{
			Playbook: "touch", Digest: "abc", Target: "service/cart", Steps: []string{"1. Touch the target: world.touch on service/cart"},
			EstimatedTime: 10 * time.Second, Risk: heal.RiskLow, Rollbackable: true, Tier: heal.TierQuickFix, Trust: heal.TrustAuto,
		},
		Votes:    []heal.Vote{{By: "knowledge", Playbook: "touch", Score: 0.8, Weight: 0.5, Reason: known}},
		Rejected: []heal.Reason{{Code: "worse", Text: "ask-first scored lower"}},
		Reasons:  []heal.Reason{known},
	}
	return heal.Incident{
		ID: CartCase, Scope: heal.DefaultScope.WithService("cart"), State: heal.CaseEscalated, Severity: heal.Critical, Title: "cart is not reachable",
		Members: []heal.Member{{Role: heal.Primary, Fault: heal.Fault{
			Key: heal.FaultKey{Type: heal.Unavailable, Entity: "service/cart"}, Source: "probe", Severity: heal.Critical, Message: "connection refused",
			Scope: heal.DefaultScope.WithService("cart"), AlertID: CartAlert, AlertName: "ServiceDown", Began: at(0), Detected: at(5), LastSeen: at(60), Evidence: proof,
		}}},
		Score: 1, Cause: "service/cart",
		Diagnosis: &heal.Diagnosis{
			At: at(7), Confidence: 0.8,
			Causes: []heal.Cause{{
				Entity: "service/cart", Pattern: heal.PatternProcessDown, Type: heal.Unavailable, Score: 0.9, Path: []heal.EntityID{"service/frontend", "service/cart"},
				For:     []heal.Reason{{Code: "process_gone", Text: "no process of it runs", Evidence: proof}},
				Against: []heal.Reason{{Code: "recent_traffic", Text: "it answered 4 s before"}},
			}},
			Impact:  heal.Impact{Affected: []heal.EntityID{"service/frontend"}, Summary: "frontend depends on it"},
			Reasons: []heal.Reason{{Code: "self", Text: "the alerted service itself is down"}},
			Noted: []heal.Reason{{
				Code: "changed", Text: "service/cart was changed 2m0s before the case began: deploy of 1.4.2 by ci",
				Evidence: []heal.Evidence{{Kind: heal.EvidenceHistory, Entity: "service/cart", Query: "ci-7", Summary: "deploy of 1.4.2 by ci", At: at(-120)}},
			}},
		},
		Decision: decision,
		Attempts: []heal.Attempt{{
			N: 1, DecisionID: decision.ID, RunID: "0198b7a4-6f00-7000-8000-00000000e001", Playbook: "touch", Target: "service/cart",
			Pattern: heal.PatternProcessDown, StartedAt: at(8), ActedAt: at(10), EndedAt: at(40), Result: heal.AttemptIneffective, Note: "the fault persists",
		}},
		Verification: &heal.Verification{
			Verdict: heal.Persists, From: at(10), Until: at(40), At: at(40),
			Reasons: []heal.Reason{{Code: "probe_fails", Text: "the process monitor still fails"}},
		},
		Outcome: "handed to a person after 1 attempt", BeganAt: at(0), DetectedAt: at(5), ActedAt: at(10), UpdatedAt: at(41), Entries: 3,
	}
}

// SeedChanges writes what was changed around the case of the cart that Seed
// writes: a deploy of cart, which is its suspect, then a setting of what calls
// it, then of a database that nothing ties to it.
func (h *House) SeedChanges(t testing.TB) {
	t.Helper()
	must(t, h.Store.Update(t.Context(), func(tx store.Tx) error {
		cart := heal.DefaultScope.WithService("cart")
		for _, c := range []heal.Change{
			{
				ID: "ci-7", Entity: "service/cart", Scope: cart, At: at(-240), By: "ci", Version: "1.4.2", Summary: "new <b>cart</b>", Link: "https://ci.example/7",
				Suspected: []heal.Suspicion{{Incident: CartCase, Scope: cart, Title: "cart is not reachable"}, {Incident: PayCase, Scope: heal.DefaultScope.WithService("pay"), Title: "pay is slow"}},
			},
			{ID: "more", Kind: heal.ChangeConfiguration, Entity: "service/frontend", Scope: heal.DefaultScope.WithService("frontend"), At: at(20), By: "alice", Summary: "more workers"},
			{ID: "index", Kind: heal.ChangeSchema, Entity: "database/orders", Scope: heal.DefaultScope, At: at(-60)},
		} {
			c.ReceivedAt, c.Source = c.At, heal.FromCaller
			if c.Kind == "" {
				c.Kind = heal.ChangeDeploy
			}
			if _, err := store.ChangeKind.Put(tx, &c, store.Any); err != nil {
				return err
			}
		}
		return nil
	}))
}

func seedAlerts(tx store.Tx) error {
	for i, a := range []heal.Alert{
		{ID: CartAlert, Name: "ServiceDown", ServiceName: "cart", Entity: "service/cart", Labels: map[string]string{"service": "cart"}, Raw: json.RawMessage(`{"as":"sent"}`)},
		{ID: PayAlert, Name: "HighLatency", ServiceName: "pay", Entity: "service/pay"},
	} {
		a.Fingerprint, a.SourceSystem, a.Severity, a.Status = string(a.ID), "probe", heal.Critical, heal.Firing
		a.Scope = heal.DefaultScope.WithService(a.ServiceName)
		a.Timestamp, a.ReceivedAt, a.Count, a.Opened, a.Events = at(0), at(60+i), 3, 1, 1
		if _, err := store.AlertKind.Put(tx, &a, store.Any); err != nil {
			return err
		}
		opened := heal.AlertEvent{AlertID: a.ID, Seq: 1, At: at(5), Change: heal.AlertOpened, By: "probe"}
		if _, err := store.AlertEventKind.Put(tx, &opened, store.Any); err != nil {
			return err
		}
	}
	return nil
}
