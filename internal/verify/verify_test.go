package verify_test

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/verify"
)

var from = time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return from.Add(time.Duration(seconds) * time.Second) }

// healthy is a fault that cleared, with everything there is to show for it:
// a window of 30 s, evaluations every 10 s.
func healthy() verify.Input {
	return verify.Input{
		From: from, Now: at(30), Window: 30 * time.Second, Interval: 10 * time.Second,
		Condition: "latency > 0.5",
		Checks:    []verify.Check{{At: at(10)}, {At: at(20)}, {At: at(30)}},
		Freshness: []verify.Freshness{{Selector: "latency", Newest: at(29)}},
		Traffic:   verify.Traffic{Known: true, Newest: at(29)},
	}
}

func TestJudge(t *testing.T) {
	tests := []struct {
		name   string
		change func(*verify.Input)
		want   heal.Verdict
		code   string
	}{
		{"all evidence", func(*verify.Input) {}, heal.Cleared, "condition_false"},
		{"window open", func(in *verify.Input) { in.Now = at(29) }, heal.Pending, "window_open"},
		{"window never under two intervals", func(in *verify.Input) { in.Window, in.Now = time.Second, at(19) }, heal.Pending, "window_open"},
		{"holds at the end", func(in *verify.Input) { in.Checks[2].Holds = true }, heal.Persists, "condition_holds"},
		{"held in the middle", func(in *verify.Input) { in.Checks[1].Holds = true }, heal.Unclear, "condition_flaps"},
		{"rule error", func(in *verify.Input) { in.Checks[1].Err = "timeout" }, heal.Unclear, "rule_error"},
		{"rule error after it held", func(in *verify.Input) { in.Checks[0].Holds, in.Checks[2].Err = true, "timeout" }, heal.Unclear, "rule_error"},
		{"one check", func(in *verify.Input) { in.Checks = in.Checks[:1] }, heal.Unclear, "too_few_checks"},
		{"checks from before the action", func(in *verify.Input) { in.Checks[0].At, in.Checks[1].At = at(-20), at(-10) }, heal.Unclear, "too_few_checks"},
		{"held before the action only", func(in *verify.Input) { in.Checks = append(in.Checks, verify.Check{At: at(-1), Holds: true}) }, heal.Cleared, "condition_false"},
		{"samples absent", func(in *verify.Input) { in.Freshness[0].Newest = time.Time{} }, heal.Unclear, "samples_absent"},
		{"samples from before the action", func(in *verify.Input) { in.Freshness[0].Newest = at(-5) }, heal.Unclear, "samples_absent"},
		{"samples stop early", func(in *verify.Input) { in.Freshness[0].Newest = at(5) }, heal.Unclear, "samples_stale"},
		{"one selector of two is stale", func(in *verify.Input) {
			in.Freshness = append(in.Freshness, verify.Freshness{Selector: "requests"})
		}, heal.Unclear, "samples_absent"},
		{"one side of an or never had samples", func(in *verify.Input) {
			in.Freshness = append(in.Freshness, verify.Freshness{Selector: "old_name", Optional: true})
		}, heal.Cleared, "condition_false"},
		{"only optional selectors, all silent", func(in *verify.Input) {
			in.Freshness = []verify.Freshness{{Selector: "failed", Newest: at(-3), Optional: true}}
		}, heal.Unclear, "samples_absent"},
		{"telemetry cut, the last value still holds", func(in *verify.Input) {
			in.Freshness[0].Newest = at(1)
			for i := range in.Checks {
				in.Checks[i].Holds = true
			}
		}, heal.Unclear, "samples_stale"},
		{"freshness not known", func(in *verify.Input) { in.Freshness = nil }, heal.Unclear, "no_samples"},
		{"no traffic", func(in *verify.Input) { in.Traffic.Newest = at(-1) }, heal.Unclear, "no_traffic"},
		{"traffic not measured", func(in *verify.Input) { in.Traffic = verify.Traffic{} }, heal.Cleared, "condition_false"},
		{"no traffic, healthy probe", func(in *verify.Input) {
			in.Traffic.Newest = time.Time{}
			in.Probe = &verify.Probe{Name: "p", Healthy: true, CheckedAt: at(29)}
		}, heal.Cleared, "condition_false"},
		{"no traffic, failing probe", func(in *verify.Input) {
			in.Traffic.Newest = time.Time{}
			in.Probe = &verify.Probe{Name: "p", CheckedAt: at(29), LastFailure: at(29)}
		}, heal.Unclear, "probe_fails"},
		{"source resolved changes nothing", func(in *verify.Input) { in.Resolved, in.Checks[2].Holds = true, true }, heal.Persists, "condition_holds"},
		{"no condition, healthy probe", func(in *verify.Input) {
			in.Condition, in.Probe = "", &verify.Probe{Name: "p", Healthy: true, CheckedAt: at(29), LastFailure: at(-3)}
		}, heal.Cleared, "probe_healthy"},
		{"no condition, probe failed within", func(in *verify.Input) {
			in.Condition, in.Probe = "", &verify.Probe{Name: "p", Healthy: true, CheckedAt: at(29), LastFailure: at(3)}
		}, heal.Unclear, "probe_flaps"},
		{"no condition, probe fails", func(in *verify.Input) {
			in.Condition, in.Probe = "", &verify.Probe{Name: "p", CheckedAt: at(29), LastFailure: at(29)}
		}, heal.Persists, "probe_fails"},
		{"no condition, probe stopped looking", func(in *verify.Input) {
			in.Condition, in.Probe = "", &verify.Probe{Name: "p", Healthy: true, CheckedAt: at(2)}
		}, heal.Unclear, "probe_stale"},
		{"source alone", func(in *verify.Input) { in.Condition, in.Resolved = "", true }, heal.Unclear, "source_alone"},
		{"nothing to ask", func(in *verify.Input) { in.Condition = "" }, heal.Unclear, "nothing_to_ask"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := healthy()
			tt.change(&in)
			got := verify.Judge(in)
			if got.Verdict != tt.want || got.Reasons[0].Code != tt.code {
				t.Errorf("got %s because %s (%s), want %s because %s", got.Verdict, got.Reasons[0].Code, got.Reasons[0].Text, tt.want, tt.code)
			}
		})
	}
}

// TestClearedNeedsEverything removes each piece of evidence from every clear
// combination: none may stay cleared.
func TestClearedNeedsEverything(t *testing.T) {
	remove := map[string]func(*verify.Input){
		"checks":    func(in *verify.Input) { in.Checks = nil },
		"freshness": func(in *verify.Input) { in.Freshness = nil },
		"recency":   func(in *verify.Input) { in.Freshness[0].Newest = in.From },
		"falsehood": func(in *verify.Input) { in.Checks[len(in.Checks)-1].Holds = true },
		"window":    func(in *verify.Input) { in.Now = in.From.Add(in.Window / 2) },
	}
	for name, change := range remove {
		in := healthy()
		change(&in)
		if got := verify.Judge(in); got.Verdict == heal.Cleared {
			t.Errorf("cleared without %s", name)
		}
	}
}
