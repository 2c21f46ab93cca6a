package guard

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Explanation says what would be allowed now and why, rule by rule, on what
// evidence.
type Explanation struct {
	Request Request
	At      time.Time
	Verdict Verdict   // the answer: the first refusal, or that nothing stands against it
	Rules   []Finding // what every rule says, in the order they are asked
	Scopes  []ScopeFacts
	Target  []Entry // what the history has of the target, newest first
	Case    []Entry // and of the case
}

// Finding is what one rule says.
type Finding struct {
	Rule   Rule
	Allows bool
	Reason heal.Reason
	Retry  time.Time // when it may say otherwise; zero: never by itself
}

// Explain judges a request by every rule and tells all they say. Nothing is
// reserved or recorded.
func Explain(r store.Reader, req Request, l Limits, now time.Time) (Explanation, error) {
	h, _, err := history(r, req, l, now)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{Request: req, At: now, Verdict: Judge(req, h, l, now), Scopes: h.Scopes, Target: h.Target, Case: h.Case}
	q := ask(req, h, l, now)
	for _, g := range guards {
		v := g.judge(q)
		f := Finding{Rule: g.rule, Allows: v.Allowed(), Reason: v.Reason, Retry: v.Retry}
		if f.Allows {
			f.Reason = heal.Reason{Code: "guard_allows", Text: g.clear(q)}
		}
		e.Rules = append(e.Rules, f)
	}
	return e, nil
}
