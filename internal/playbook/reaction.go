package playbook

import (
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

var (
	afterSuccess = []string{"continue", "notify", "escalate", "rollback"}
	afterFailure = []string{"abort", "continue", "notify", "escalate", "rollback", "next_tier"}
)

// reaction reads on_success or on_failure: a list of words, or words joined as
// in rollback_and_escalate_with_notification.
func (r *report) reaction(v view, known []string) Reaction {
	parts := v.items()
	if v.scalar() {
		parts = []view{v}
	}
	var all []string
	for _, part := range parts {
		for _, word := range reactionWords(part.text()) {
			if !slices.Contains(known, word) {
				hint := "there are " + strings.Join(known, ", ")
				if near := heal.Nearest(word, known); near != "" {
					hint = "did you mean " + near + "?"
				}
				r.add(part, hint, "has the unknown reaction %q", clip(word))
				continue
			}
			all = append(all, word)
		}
	}
	out := Reaction{
		Continue: slices.Contains(all, "continue"),
		Notify:   slices.Contains(all, "notify"),
		Escalate: slices.Contains(all, "escalate"),
		Rollback: slices.Contains(all, "rollback"),
		NextTier: slices.Contains(all, "next_tier"),
	}
	if out.Continue {
		for _, word := range []string{"abort", "rollback", "next_tier"} {
			if slices.Contains(all, word) {
				r.add(v, "", "both continues and does %s; a run can do only one of them", word)
			}
		}
	}
	return out
}

func reactionWords(text string) []string {
	text, notify := strings.CutSuffix(text, "_with_notification")
	words := strings.Split(text, "_and_")
	if notify {
		words = append(words, "notify")
	}
	return words
}

// words lists what the reaction does, for people.
func (r Reaction) words() []string {
	var out []string
	for _, w := range []struct {
		on   bool
		text string
	}{{r.Continue, "continue"}, {r.Rollback, "roll back"}, {r.NextTier, "try the next tier"}, {r.Escalate, "escalate"}, {r.Notify, "notify"}} {
		if w.on {
			out = append(out, w.text)
		}
	}
	return out
}
