package loop

import (
	"context"
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// verify judges whether what was done helped.
func (l *Loop) verify(ctx context.Context, inc store.Stored[heal.Incident]) error {
	attempt := lastAttempt(&inc.Value)
	if attempt == nil {
		return heal.Errorf(heal.Internal, "verify case "+string(inc.Value.ID), "it has no attempt")
	}
	v, err := l.judge(ctx, &inc.Value, attempt)
	if err != nil {
		return err
	}
	var left []remnant
	if v.Verdict == heal.Cleared {
		left = l.remnants(ctx, &inc.Value)
	}
	return l.put(ctx, inc, func(d *draft) error {
		d.Verification = &v
		attempt := lastAttempt(&d.Incident)
		switch v.Verdict {
		case heal.Pending:
			d.DueAt = v.Until
			if inc.Value.Verification == nil || !inc.Value.Verification.From.Equal(v.From) {
				d.say("verify", fmt.Sprintf("watching until %s", v.Until.UTC().Format("15:04:05")), v.Reasons...)
			}
			return nil
		case heal.Cleared:
			return l.healed(d, attempt, v, left)
		case heal.Persists:
			return l.ineffective(d, attempt, v)
		case heal.Unclear:
			d.say("verify", "it cannot be told whether it helped", v.Reasons...)
			if err := l.endAttempt(d, attempt, heal.AttemptUnknown, v.Reasons[0].Text); err != nil {
				return err
			}
			return l.escalate(d, "what was done could not be verified: "+v.Reasons[0].Text, v.Reasons...)
		}
		return heal.Errorf(heal.Internal, "verify case "+string(d.ID), "verdict %q is not known", v.Verdict)
	})
}

func lastAttempt(inc *heal.Incident) *heal.Attempt {
	if len(inc.Attempts) == 0 {
		return nil
	}
	return &inc.Attempts[len(inc.Attempts)-1]
}

// healed ends a case well. Secondary faults that still hold were symptoms of
// something else: they are handed back to be grouped anew.
func (l *Loop) healed(d *draft, attempt *heal.Attempt, v heal.Verification, left []remnant) error {
	d.say("verify", "cleared, by evidence newer than the action", v.Reasons...)
	if err := l.endAttempt(d, attempt, heal.AttemptHealed, ""); err != nil {
		return err
	}
	for _, r := range left {
		if err := l.release(d, r); err != nil {
			return err
		}
	}
	d.State, d.EndedAt = heal.CaseHealed, d.now
	d.Outcome = fmt.Sprintf("%s on %s healed it in attempt %d", attempt.Playbook, attempt.Target, attempt.N)
	owe(&d.Incident, d.now, heal.Info, fmt.Sprintf("%s: healed by %s on %s, verified; %s after detection", d.Title, attempt.Playbook, attempt.Target, d.EndedAt.Sub(d.DetectedAt).Round(time.Second)))
	return l.cool(d)
}

// ineffective ends an attempt whose steps all succeeded while the fault stayed:
// it counts, what can be undone is undone, and the next is prepared.
func (l *Loop) ineffective(d *draft, attempt *heal.Attempt, v heal.Verification) error {
	d.say("verify", "the fault persists: the attempt was ineffective", v.Reasons...)
	if err := l.endAttempt(d, attempt, heal.AttemptIneffective, v.Reasons[0].Text); err != nil {
		return err
	}
	if _, err := l.parts.Engine.RollbackIn(d.tx, attempt.RunID, systemName, "the fault persists"); err != nil && !heal.Is(err, heal.Conflict) {
		return err
	}
	l.again(d)
	return nil
}
