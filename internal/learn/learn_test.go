package learn_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/learn"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func outcome(result heal.AttemptResult, minute int) heal.Outcome {
	worth, _ := learn.Effectiveness(result)
	return heal.Outcome{Pattern: "process_down", Playbook: "restart", Result: result, Effectiveness: worth, At: t0.Add(time.Duration(minute) * time.Minute), Duration: 10 * time.Second}
}

func TestKnowledgeIsTheSumOfItsOutcomes(t *testing.T) {
	var k learn.Knowledge
	if got := k.Rate(); got != 0.5 {
		t.Errorf("rate without uses: got %g, want 0.5", got)
	}
	results := []heal.AttemptResult{heal.AttemptHealed, heal.AttemptFailed, heal.AttemptHealed, heal.AttemptUnknown, heal.AttemptDenied, heal.AttemptIneffective, heal.AttemptHealed}
	for i, r := range results {
		k = learn.Add(k, outcome(r, i))
	}
	want := learn.Knowledge{Pattern: "process_down", Playbook: "restart", Uses: 5, Successes: 3, TotalTime: 50 * time.Second, LastUsed: t0.Add(6 * time.Minute)}
	if diff := cmp.Diff(k, want); diff != "" {
		t.Errorf("knowledge (-got +want):\n%s", diff)
	}
	if got, want := k.Rate(), 4.0/7; got != want || !k.Trusted() {
		t.Errorf("rate: got %g, trusted %v, want %g and trusted from 5 uses on", got, k.Trusted(), want)
	}
	if got, want := k.MeanTime(), 10*time.Second; got != want {
		t.Errorf("mean time: got %v, want %v", got, want)
	}
	for i, r := range results {
		k = learn.Remove(k, outcome(r, i))
	}
	if k.Uses != 0 || k.Successes != 0 || k.TotalTime != 0 {
		t.Errorf("after taking every outcome back: %+v", k)
	}
}

func TestAccount(t *testing.T) {
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	ask := &heal.Decision{Verb: heal.VerbAsk}
	got := learn.Account([]heal.Incident{
		{State: heal.CaseHealed, BeganAt: at(0), DetectedAt: at(4), EndedAt: at(24), Members: make([]heal.Member, 3)},
		{State: heal.CaseHealed, BeganAt: at(0), DetectedAt: at(2), EndedAt: at(42), Members: make([]heal.Member, 1), Decision: ask},
		{State: heal.CaseEscalated, BeganAt: at(5), DetectedAt: at(5), Members: make([]heal.Member, 1)},
		{State: heal.CaseActing, BeganAt: at(5), DetectedAt: at(3), Members: make([]heal.Member, 1)},
	})
	want := learn.Report{
		Cases: 4, Open: 1, Healed: 2, Unattended: 1, Escalated: 1, Signals: 6,
		MeanDetect: 1500 * time.Millisecond, MeanHeal: 30 * time.Second, P90Heal: 40 * time.Second, Share: 1.0 / 3, Noise: 2.0 / 6,
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("report (-got +want):\n%s", diff)
	}
	if got := learn.Account(nil); got != (learn.Report{}) {
		t.Errorf("report of nothing: got %+v", got)
	}
}
