package learn

import (
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Report is the return on having Homeostat (SPEC L6), over a set of cases.
type Report struct {
	Cases      int           `json:"cases"`
	Open       int           `json:"open"`
	Healed     int           `json:"healed"`     // verified, by an action of Homeostat's
	Unattended int           `json:"unattended"` // of Healed, those no person had to answer for
	Escalated  int           `json:"escalated"`  // handed to a person
	Closed     int           `json:"closed"`     // ended otherwise
	Signals    int           `json:"signals"`    // faults grouped into the cases
	MeanDetect time.Duration `json:"mttd"`       // from the first sign to detection
	MeanHeal   time.Duration `json:"mttr"`       // from detection to the end, healed cases only
	P90Heal    time.Duration `json:"mttr_p90"`   // nearest rank
	Share      float64       `json:"share"`      // Unattended of all ended or escalated cases, 0 to 1
	Noise      float64       `json:"noise"`      // signals that opened no case of their own, 0 to 1
}

// Account makes the report over cases.
func Account(cases []heal.Incident) Report {
	var r Report
	var detect time.Duration
	var heals []time.Duration
	for i := range cases {
		c := &cases[i]
		r.Cases++
		r.Signals += len(c.Members)
		detect += max(0, c.DetectedAt.Sub(c.BeganAt))
		switch c.State {
		case heal.CaseHealed:
			r.Healed++
			if !attended(c) {
				r.Unattended++
			}
			heals = append(heals, max(0, c.EndedAt.Sub(c.DetectedAt)))
		case heal.CaseEscalated:
			r.Escalated++
		case heal.CaseClosed:
			r.Closed++
		case heal.CaseOpen, heal.CaseDiagnosing, heal.CaseDeciding, heal.CaseWaiting, heal.CaseActing, heal.CaseVerifying:
			r.Open++
		}
	}
	if r.Cases > 0 {
		r.MeanDetect = detect / time.Duration(r.Cases)
	}
	if r.Signals > 0 {
		r.Noise = float64(r.Signals-r.Cases) / float64(r.Signals)
	}
	if settled := r.Healed + r.Escalated + r.Closed; settled > 0 {
		r.Share = float64(r.Unattended) / float64(settled)
	}
	r.MeanHeal, r.P90Heal = mean(heals), percentile(heals, 0.9)
	return r
}

// attended reports whether a person had to answer for the case.
func attended(c *heal.Incident) bool {
	return c.Decision != nil && c.Decision.Verb == heal.VerbAsk
}

func mean(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	var sum time.Duration
	for _, t := range times {
		sum += t
	}
	return sum / time.Duration(len(times))
}

// percentile is the nearest-rank percentile.
func percentile(times []time.Duration, p float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	rank := int(p*float64(len(sorted)) + 0.999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}
