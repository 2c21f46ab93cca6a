package loop

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/audit"
	"github.com/homeostat/homeostat/internal/decide"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/playbook"
	"github.com/homeostat/homeostat/internal/store"
)

// systemName is who acts when no person does.
const systemName = "homeostat"

// decide chooses what to do about a diagnosed case and begins it.
func (l *Loop) decide(ctx context.Context, inc store.Stored[heal.Incident]) error {
	if len(incident.Holding(inc.Value)) == 0 {
		return l.closeCleared(ctx, inc)
	}
	if inc.Value.Cause != "" && len(inc.Value.Attempts) == 0 {
		if err := l.reserve(ctx, &inc.Value); err != nil {
			return err
		}
		defer l.unreserve(ctx, &inc.Value)
		host, err := l.standing(ctx, &inc.Value)
		if err != nil {
			return err
		}
		if host != "" {
			return l.merge(ctx, inc, host)
		}
	}
	in, unanswered, err := l.gatherDecision(ctx, &inc.Value)
	if err != nil {
		return err
	}
	d := decide.Decide(in, l.policy(inc.Value.Scope))
	d.Rejected = append(d.Rejected, unanswered...)
	if d.Verb == heal.VerbObserve {
		return l.observe(ctx, inc, d)
	}
	err = l.put(ctx, inc, func(c *draft) error {
		if d.Plan == nil {
			return l.giveToPerson(c, d, d.Reasons[0].Text)
		}
		verdict, err := guard.Look(c.tx, l.request(&c.Incident, d.Plan), l.opts.Limits, c.now)
		if err != nil {
			return err
		}
		if !verdict.Allowed() {
			return l.hold(c, d, verdict)
		}
		return l.begin(c, d)
	})
	if err == nil {
		l.parts.Engine.Nudge()
	}
	return err
}

// policy is how careful decisions are in a scope: as its guards are.
func (l *Loop) policy(scope heal.Scope) decide.Policy {
	p, limits := l.opts.Policy, l.opts.Limits.For(scope)
	if len(l.opts.Limits.Scopes) > 0 {
		p.MaxAttempts = limits.Attempts
	}
	p.ProvenFrom = limits.Proven
	return p
}

// gatherDecision reads what the decision may look at.
func (l *Loop) gatherDecision(ctx context.Context, inc *heal.Incident) (in decide.Input, unanswered []heal.Reason, err error) {
	in = decide.Input{Incident: *inc, Now: l.now(), ID: heal.DecisionID(l.newID())}
	top := inc.Diagnosis.Top()
	if top == nil {
		return in, nil, nil
	}
	var proven map[string]int
	err = l.parts.Store.View(ctx, func(r store.Reader) error {
		if in.Knowledge, err = knowledgeOf(r, top.Pattern); err != nil {
			return err
		}
		if proven, err = provenBooks(r); err != nil {
			return err
		}
		in.Past, err = pastOutcomes(r, top.Pattern)
		return err
	})
	if err != nil {
		return in, nil, err
	}
	in.Candidates, unanswered = l.parts.Catalog.candidates(inc, top, proven)
	return in, unanswered, nil
}

func (l *Loop) request(inc *heal.Incident, plan *heal.Plan) guard.Request {
	return guard.Request{
		Incident: inc.ID, Attempt: len(inc.Attempts) + 1, Target: plan.Target, Scope: l.scopeOf(inc, plan.Target),
		Playbook: plan.Playbook, Action: "playbook " + plan.Playbook, Touches: true,
	}
}

// scopeOf is the scope of a target: that of the case, at the target's service
// where that is known.
func (l *Loop) scopeOf(inc *heal.Incident, target heal.EntityID) heal.Scope {
	if target.Kind() == heal.KindService {
		return inc.Scope.WithService(target.Name())
	}
	if e, ok := l.parts.Topology.Snapshot().Entity(target); ok && e.Scope.Service != "" {
		return inc.Scope.WithService(e.Scope.Service)
	}
	return inc.Scope
}

// recordDecision keeps a decision and tells it.
func (l *Loop) recordDecision(c *draft, d heal.Decision) error {
	c.Decision = &d
	if _, err := store.DecisionKind.Put(c.tx, &d, store.Any); err != nil {
		return err
	}
	e := audit.Entry{
		At: c.now, Act: audit.Decided, Result: string(d.Verb), Scope: c.Scope, Subject: string(c.Cause), Incident: c.ID, Decision: d.ID,
		Text: "it was decided to " + string(d.Verb), Reasons: d.Reasons,
	}
	if d.Plan != nil {
		e.Subject, e.Text = string(d.Plan.Target), fmt.Sprintf("%s %s on %s", d.Verb, d.Plan.Playbook, d.Plan.Target)
	}
	return l.parts.Audit.Record(c.tx, e)
}

// recheck is how often a case that a guard holds back is looked at again.
const recheck = time.Second

// hold keeps a case whose plan a guard does not allow now. What passes by
// itself is waited for; what does not is for a person. Waiting on writes
// nothing.
func (l *Loop) hold(c *draft, d heal.Decision, v guard.Verdict) error {
	if v.Retry.IsZero() && !v.Pause {
		d.Verb = heal.VerbEscalate
		d.Reasons = append(d.Reasons, v.Reason)
		return l.giveToPerson(c, d, v.Reason.Text)
	}
	c.DueAt = c.now.Add(recheck)
	if v.Retry.After(c.DueAt) {
		c.DueAt = v.Retry
	} else if c.Held == string(v.Rule) {
		return errHeld
	}
	if c.Held != string(v.Rule) {
		page, err := guard.Page(c.tx, v, c.now)
		if err != nil {
			return err
		}
		if page {
			owe(&c.Incident, c.now, heal.Critical, fmt.Sprintf("%s needs a person: %s.", c.Title, v.Reason.Text))
		}
		c.Held = string(v.Rule)
		c.say("decide", "held back: "+v.Reason.Text, v.Reason)
	}
	return nil
}

// begin starts the run of a decision, or asks for it.
func (l *Loop) begin(c *draft, d heal.Decision) error {
	book, err := l.parts.Catalog.Find(d.Plan.Playbook)
	if err != nil {
		return err
	}
	top := c.Diagnosis.Top()
	order := engine.Order{
		Incident: c.ID, Decision: d.ID, Attempt: d.Attempt, Scope: l.scopeOf(&c.Incident, d.Plan.Target),
		Name: book.ID, Digest: book.Pin.Digest, Source: book.Pin.Source, Target: d.Plan.Target, Params: d.Plan.Params,
		Facts: factsOf(&c.Incident, top), RequestedBy: systemName,
	}
	c.State, c.Held = heal.CaseActing, ""
	if d.Verb == heal.VerbAsk {
		order.Approval = l.question(&c.Incident, d, book.Approval)
		c.State = heal.CaseWaiting
	}
	if err := l.recordDecision(c, d); err != nil {
		return err
	}
	run, err := l.parts.Engine.Start(c.tx, order)
	if err != nil {
		return err
	}
	c.Attempts = append(c.Attempts, heal.Attempt{
		N: d.Attempt, DecisionID: d.ID, RunID: run.ID, Playbook: book.ID, Target: d.Plan.Target, Pattern: top.Pattern,
		StartedAt: c.now, Result: heal.AttemptRunning,
	})
	c.say("decide", decisionText(d), d.Reasons...)
	if d.Verb == heal.VerbAsk {
		owe(&c.Incident, c.now, c.Severity, order.Approval.Question)
		return nil
	}
	if c.ActedAt.IsZero() {
		c.ActedAt = c.now
	}
	owe(&c.Incident, c.now, heal.Info, fmt.Sprintf("%s: starting %s on %s", c.Title, book.ID, d.Plan.Target))
	return nil
}

func (l *Loop) question(inc *heal.Incident, d heal.Decision, asked playbook.Approval) *engine.Ask {
	return &engine.Ask{
		Question: fmt.Sprintf("%s: run %s on %s? (risk %s, confidence %.2f)", inc.Title, d.Plan.Playbook, d.Plan.Target, d.Risk, d.Confidence),
		Owner:    cmp.Or(asked.Owner, l.opts.Approver), Quorum: asked.Quorum, Within: cmp.Or(asked.Within, l.opts.Approval),
	}
}

func decisionText(d heal.Decision) string {
	what := "run"
	if d.Verb == heal.VerbAsk {
		what = "ask to run"
	}
	return fmt.Sprintf("attempt %d: %s %s on %s (tier %s, risk %s, confidence %.2f)", d.Attempt, what, d.Plan.Playbook, d.Plan.Target, d.Plan.Tier, d.Risk, d.Confidence)
}

// observe runs a plan dry and leaves the case to a person, with what would
// have been done.
func (l *Loop) observe(ctx context.Context, inc store.Stored[heal.Incident], d heal.Decision) error {
	book, err := l.parts.Catalog.Find(d.Plan.Playbook)
	if err != nil {
		return err
	}
	run, err := l.parts.Engine.DryRun(ctx, engine.Order{
		Incident: inc.Value.ID, Decision: d.ID, Attempt: d.Attempt, Scope: l.scopeOf(&inc.Value, d.Plan.Target), Name: book.ID, Digest: book.Pin.Digest,
		Source: book.Pin.Source, Target: d.Plan.Target, Facts: factsOf(&inc.Value, inc.Value.Diagnosis.Top()), RequestedBy: systemName,
	})
	if err != nil {
		return err
	}
	return l.put(ctx, inc, func(c *draft) error {
		c.say("decide", fmt.Sprintf("observe only: %s on %s was run dry as run %s", book.ID, d.Plan.Target, run.ID), d.Reasons...)
		return l.giveToPerson(c, d, fmt.Sprintf("playbook %s is only trusted to be observed; run %s shows what it would do", book.ID, run.ID))
	})
}

// giveToPerson ends automation for a case: a person gets everything found so
// far.
func (l *Loop) giveToPerson(c *draft, d heal.Decision, why string) error {
	if err := l.recordDecision(c, d); err != nil {
		return err
	}
	return l.escalate(c, why, d.Reasons...)
}

// escalate hands a case to a person and says everything that is known. What it
// acted on rests from now on: no other case is to go on where this one gave up.
func (l *Loop) escalate(c *draft, why string, reasons ...heal.Reason) error {
	c.State, c.Outcome, c.Held = heal.CaseEscalated, why, ""
	c.say("decide", "handed to a person: "+why, reasons...)
	owe(&c.Incident, c.now, heal.Critical, summary(&c.Incident, why))
	return l.cool(c)
}

// summary is what a person is told at an escalation.
func summary(inc *heal.Incident, why string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s needs a person: %s.", inc.Title, why)
	if top := inc.Diagnosis.Top(); top != nil {
		fmt.Fprintf(&text, " Most likely cause: %s on %s (score %.2f).", top.Pattern, top.Entity, top.Score)
	}
	for _, a := range inc.Attempts {
		fmt.Fprintf(&text, " Attempt %d, %s on %s: %s.", a.N, a.Playbook, a.Target, a.Result)
	}
	return text.String()
}

// closeIfOver closes a case that a person has once nothing holds any more. One
// whose last attempt could not be verified stays: the word
// of the source is what was not enough before.
func (l *Loop) closeIfOver(ctx context.Context, inc store.Stored[heal.Incident]) error {
	return l.put(ctx, inc, func(d *draft) error {
		if len(incident.Holding(d.Incident)) > 0 {
			return nil
		}
		if a := lastAttempt(&d.Incident); a != nil && a.Result == heal.AttemptUnknown {
			d.say("sense", "its sources say it is over, which alone verifies nothing: a person has to close it")
			return nil
		}
		return l.closeCase(d, "its sources say it is over; this was not verified")
	})
}

// closeCleared ends a case whose faults have gone while nothing was under way.
func (l *Loop) closeCleared(ctx context.Context, inc store.Stored[heal.Incident]) error {
	why := "it cleared by itself before anything was done"
	if len(inc.Value.Attempts) > 0 {
		why = "its sources say it is over, after attempts that did not show it; this was not verified"
	}
	return l.put(ctx, inc, func(d *draft) error { return l.closeCase(d, why) })
}

// closeCase ends a case that was not healed by an action.
func (l *Loop) closeCase(d *draft, why string) error {
	d.State, d.Outcome, d.EndedAt, d.Held = heal.CaseClosed, why, d.now, ""
	d.say("learn", "closed: "+why)
	return l.cool(d)
}

// cool starts the rest of every target the case acted on.
func (l *Loop) cool(d *draft) error {
	for _, a := range d.Attempts {
		if a.Result == heal.AttemptDenied && a.ActedAt.IsZero() {
			continue // nothing was touched
		}
		if err := guard.EndCase(d.tx, d.ID, a.Target, d.Scope, d.now); err != nil {
			return err
		}
	}
	return nil
}
