// Package learn turns outcomes into knowledge: which plan heals which cause,
// and what that is worth.
//
// Its one invariant: knowledge is the sum of its outcomes and nothing else, so
// that every change has its reason and taking an outcome back restores what was
// known before. The package is pure; it is not for deciding (see decide).
package learn

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// EnoughUses is the number of uses from which a success rate is trusted
// (SPEC A12).
const EnoughUses = 5

// Knowledge is what is known of one plan against one cause.
type Knowledge struct {
	Pattern   heal.Pattern  `json:"pattern"`
	Playbook  string        `json:"playbook"`
	Uses      int           `json:"uses"`
	Successes int           `json:"successes"`
	Partial   int           `json:"partial"`
	TotalTime time.Duration `json:"total_time"` // of all uses
	LastUsed  time.Time     `json:"last_used"`
}

// Key identifies knowledge.
func (k *Knowledge) Key() string { return string(k.Pattern) + "/" + k.Playbook }

// Rate is the smoothed success rate: (effectiveness + 1) / (uses + 2), the mean
// of the Beta distribution that starts from knowing nothing (Laplace's rule of
// succession). A partial success counts half.
func (k Knowledge) Rate() float64 {
	return (float64(k.Successes) + 0.5*float64(k.Partial) + 1) / (float64(k.Uses) + 2)
}

// Trusted reports whether there were enough uses for the rate to count.
func (k Knowledge) Trusted() bool { return k.Uses >= EnoughUses }

// MeanTime is how long a use took on average; 0 without uses.
func (k Knowledge) MeanTime() time.Duration {
	if k.Uses == 0 {
		return 0
	}
	return k.TotalTime / time.Duration(k.Uses)
}

// Effectiveness is the worth of a result (SPEC L1): success 1, partial 0.5,
// failure 0. An attempt whose end is not known taught nothing; ok is false.
func Effectiveness(result heal.AttemptResult) (worth float64, ok bool) {
	switch result {
	case heal.AttemptHealed:
		return 1, true
	case heal.AttemptIneffective, heal.AttemptFailed:
		return 0, true
	case heal.AttemptUnknown, heal.AttemptDenied, heal.AttemptRunning:
		return 0, false
	}
	return 0, false
}

// Add is the knowledge with one more outcome.
func Add(k Knowledge, o heal.Outcome) Knowledge { return count(k, o, 1) }

// Remove takes an outcome back, for example when a person says it was judged
// wrongly. LastUsed stays.
func Remove(k Knowledge, o heal.Outcome) Knowledge { return count(k, o, -1) }

func count(k Knowledge, o heal.Outcome, by int) Knowledge {
	if _, ok := Effectiveness(o.Result); !ok {
		return k
	}
	k.Pattern, k.Playbook = o.Pattern, o.Playbook
	k.Uses += by
	k.TotalTime += time.Duration(by) * o.Duration
	switch {
	case o.Effectiveness >= 1:
		k.Successes += by
	case o.Effectiveness > 0:
		k.Partial += by
	}
	if by > 0 && o.At.After(k.LastUsed) {
		k.LastUsed = o.At
	}
	return k
}
