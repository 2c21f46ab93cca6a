package cause

import (
	"fmt"
	"maps"
	"slices"

	"github.com/homeostat/homeostat/internal/heal"
)

const (
	// TreeConfidence is how sure a diagnosis is without experience (SPEC A12).
	TreeConfidence = 0.7
	// MinUses is how often a remedy for the pattern must have been used before
	// experience counts (SPEC A12).
	MinUses = 5
)

// Evidence of this score is enough for full confidence; less scales it down.
const fullScore = 0.5

// Two entities whose scores are this close are hard to tell apart.
const nearlySame = 0.05

func (s *scene) confidence(causes []heal.Cause) (float64, []heal.Reason) {
	var reasons []heal.Reason
	for _, id := range slices.Sorted(maps.Keys(s.in.Signals)) {
		for _, gap := range s.in.Signals[id].Gaps {
			reasons = append(reasons, heal.Reason{Code: "not_known", Text: fmt.Sprintf("not known of %s: %s", id, gap)})
		}
	}
	if n := s.ledger.short; n > 0 && n < Enough {
		reasons = append(reasons, heal.Reason{
			Code: "past_too_short", Text: fmt.Sprintf("the %s of %s is as it was %d times before the case; %d are needed to say that the alert is not borne out, so it is believed", s.ledger.measure, s.alerted, n, Enough),
			Data: map[string]any{"samples": n, "needed": Enough},
		})
	}
	if len(causes) == 0 {
		return 0, append([]heal.Reason{{
			Code: "no_cause", Text: fmt.Sprintf("no cause found: of %d entities looked at, none shows anything out of the ordinary", len(s.in.Signals)),
		}}, reasons...)
	}
	top := causes[0]
	confidence, from := TreeConfidence, heal.Reason{
		Code: "tree_confidence", Text: fmt.Sprintf("fewer than %d remedies for %s are on record; the diagnostic tree alone gives %.1f", MinUses, top.Pattern, TreeConfidence),
	}
	if k := s.in.Known[top.Pattern]; k.Uses >= MinUses {
		confidence, from = share(k.Rate), heal.Reason{
			Code: "known_confidence", Text: fmt.Sprintf("remedies for %s were used %d times with a smoothed success rate of %.2f", top.Pattern, k.Uses, share(k.Rate)),
			Data: map[string]any{"uses": k.Uses, "rate": share(k.Rate)},
		}
	}
	lead := []heal.Reason{{
		Code: "top_cause", Text: fmt.Sprintf("%s with %s scores %.2f, the best of %d", top.Entity, top.Pattern, top.Score, len(causes)),
		Data: map[string]any{"score": top.Score},
	}, from}
	if top.Score < fullScore {
		confidence *= top.Score / fullScore
		lead = append(lead, heal.Reason{Code: "thin_evidence", Text: fmt.Sprintf("the score is below %.1f, so confidence is scaled down", fullScore)})
	}
	if len(causes) > 1 && top.Score-causes[1].Score < nearlySame {
		confidence *= 0.8
		lead = append(lead, heal.Reason{Code: "ambiguous", Text: fmt.Sprintf("%s scores nearly the same, %.2f", causes[1].Entity, causes[1].Score)})
	}
	return round(confidence), append(lead, reasons...)
}
