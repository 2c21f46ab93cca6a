package loop

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/verify"
)

// gatherTimeout bounds the questions of one verification or diagnosis.
const gatherTimeout = 10 * time.Second

// evaluations bounds how often a condition is evaluated over one window.
const evaluations = 30

// question is what a verification asks.
type question struct {
	heal.Condition
	window time.Duration
	broken error // it cannot be asked, now or later
}

// judge gathers fresh evidence and gives the verdict on an attempt.
func (l *Loop) judge(ctx context.Context, inc *heal.Incident, attempt *heal.Attempt) (heal.Verification, error) {
	ctx, cancel := context.WithTimeout(ctx, gatherTimeout)
	defer cancel()
	now := l.now()
	// After a step of the clock to the past, evidence from before the action
	// would be newer than it.
	known := latest(inc.DetectedAt, attempt.ActedAt)
	if back := known.Sub(earliest(now, attempt.ActedAt)); back > heal.ClockSkewLimit {
		return verdictUnclear(attempt.ActedAt, now, "clock_went_back", "the clock went back by %s during this case: what is newer than the action cannot be told", back.Round(time.Second)), nil
	}
	if l.opts.Uneven != nil {
		if until := l.opts.Uneven(); !until.IsZero() && !attempt.ActedAt.After(until) {
			return verdictUnclear(attempt.ActedAt, now, "clock_moved", "the clock was moved after the action, until %s: what is newer than the action cannot be told", until.UTC().Format(time.RFC3339)), nil
		}
	}
	ask, err := l.askOf(ctx, inc, attempt)
	if err != nil {
		return heal.Verification{}, err
	}
	if ask.broken != nil {
		return verdictUnclear(attempt.ActedAt, now, "verification_broken", "what the playbook wants to be verified cannot be asked: %v", ask.broken), nil
	}
	in := verify.Input{From: attempt.ActedAt, Now: now, Window: ask.window, Interval: max(ask.Interval, time.Second), Resolved: resolved(inc)}
	if ask.Kind == heal.ConditionPromQL {
		in.Condition = ask.Expr
		lookback, err := l.parts.Metrics.Lookback(ask.Expr)
		if err != nil {
			lookback = 0 // the checks below will say what is wrong with it
		}
		in.From = in.From.Add(lookback) // before that, an evaluation still sees what was before the action
		in.Interval = max(in.Interval, l.cadence(ctx, ask.Condition, attempt.ActedAt))
	}
	if in.Now.Before(in.Until()) {
		return verify.Judge(in), nil
	}
	in.Now = in.Until() // judge the window, not what came after it
	in.Probe = l.probe(attempt.Target, ask.Condition)
	if ask.Kind == heal.ConditionPromQL {
		l.check(ctx, &in, ask.Condition, now)
		in.Traffic = l.traffic(ctx, attempt.Target, in.From, in.Now)
	}
	if err := ctx.Err(); err != nil && len(in.Checks) == 0 {
		return heal.Verification{}, heal.Errorf(heal.Transient, "gather evidence", "%w", err)
	}
	v := verify.Judge(in)
	v.At = l.now()
	return v, nil
}

func verdictUnclear(from, now time.Time, code, format string, args ...any) heal.Verification {
	return heal.Verification{
		Verdict: heal.Unclear, From: from, Until: now, At: now,
		Reasons: []heal.Reason{{Code: code, Text: fmt.Sprintf(format, args...)}},
	}
}

// askOf is what must be false: the playbook's own verification if it has
// one, else the condition of the fault the case stands on.
func (l *Loop) askOf(ctx context.Context, inc *heal.Incident, attempt *heal.Attempt) (question, error) {
	ask := question{window: l.opts.Verify}
	if f := inc.PrimaryFault(); f != nil {
		ask.Condition = f.Condition
	}
	var run store.Stored[heal.Run]
	err := l.parts.Store.View(ctx, func(r store.Reader) (err error) {
		run, err = store.RunKind.Get(r, string(attempt.RunID))
		return err
	})
	if err != nil {
		return ask, err
	}
	book, err := l.parts.Catalog.Find(attempt.Playbook)
	if heal.Is(err, heal.NotFound) || err == nil && book.Pin.Digest != run.Value.Digest {
		return ask, nil // taken out of force or changed meanwhile: what it says now is not about this run
	}
	if err != nil {
		return ask, err
	}
	ask.window = max(ask.window, book.Verification.Window)
	vars, err := engine.Vars(book, &run.Value)
	if err != nil {
		ask.broken = err
		return ask, nil
	}
	expr, probe, err := book.RenderVerification(vars)
	switch {
	case err != nil:
		ask.broken = err
	case expr != "":
		ask.Condition = heal.Condition{Kind: heal.ConditionPromQL, Expr: expr, Interval: ask.Interval}
	case probe != "":
		ask.Condition = heal.Condition{Kind: heal.ConditionProbe, Probe: probe, Interval: ask.Interval}
	}
	return ask, nil
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func resolved(inc *heal.Incident) bool {
	f := inc.PrimaryFault()
	return f != nil && !f.ClearedAt.IsZero()
}

// How far before the action the distance of samples is looked for, and the
// longest that is believed.
const (
	cadenceWindow = 15 * time.Minute
	maxCadence    = 5 * time.Minute
)

// cadenceGaps is how many distances of samples are looked at: the longest of them
// may be a time in which nothing was sent.
const cadenceGaps = 5

// cadence is the usual distance between the last samples before the action, of
// the selector that has them rarest, and a quarter for their jitter: a window
// must hold more than one. It is 0 if that cannot be told.
func (l *Loop) cadence(ctx context.Context, cond heal.Condition, acted time.Time) time.Duration {
	from := acted.Add(-cadenceWindow)
	last, err := l.parts.Metrics.Fresh(ctx, cond.Expr, cond.Labels, from, acted)
	if err != nil {
		return 0
	}
	var longest time.Duration
	for i, f := range last {
		if !f.Newest.After(from) {
			continue
		}
		var gaps []time.Duration
		for newest := f.Newest; len(gaps) < cadenceGaps; {
			before, err := l.parts.Metrics.Fresh(ctx, cond.Expr, cond.Labels, from, newest.Add(-time.Millisecond))
			if err != nil || i >= len(before) || before[i].Newest.IsZero() {
				break
			}
			gaps = append(gaps, newest.Sub(before[i].Newest))
			newest = before[i].Newest
		}
		if len(gaps) > 0 {
			slices.Sort(gaps)
			longest = max(longest, gaps[(len(gaps)-1)/2]) // the less of two: a gap is rather an idle time than a rhythm
		}
	}
	return min(longest+longest/4, maxCadence)
}

// maxAhead is how far ahead of ours the clock of a source may be for its samples
// to say what came after an action.
const maxAhead = time.Minute

// check evaluates the condition through the window and asks how fresh its
// samples are. An evaluation before the first samples newer than the action
// would speak of what was before it, and is left out.
func (l *Loop) check(ctx context.Context, in *verify.Input, cond heal.Condition, now time.Time) {
	wrong := func(why string) { in.Checks = []verify.Check{{At: in.Until(), Err: why}} }
	future := now.Add(maxAhead)
	ahead, err := l.parts.Metrics.Fresh(ctx, cond.Expr, cond.Labels, future, future.Add(24*time.Hour))
	if err == nil && answering(ahead, future) > 0 {
		wrong("it has samples from the future: a clock is wrong, and what is newer than the action cannot be told")
		return
	}
	fresh, err := l.parts.Metrics.Fresh(ctx, cond.Expr, cond.Labels, in.From, in.Until())
	if err != nil {
		wrong(err.Error())
		return
	}
	in.Freshness = fresh
	if answering(fresh, in.From) == 0 {
		wrong("none of its series has a sample newer than the action; silence is not health")
		return
	}
	step := max(time.Second, in.Until().Sub(in.From)/evaluations)
	settled := false
	for at := in.From.Add(step); !at.After(in.Until()); at = at.Add(step) {
		if settled = settled || l.settled(ctx, in, cond, at); !settled {
			continue
		}
		c := verify.Check{At: at}
		c.Holds, err = l.parts.Metrics.Holds(ctx, cond.Expr, cond.Labels, at)
		if err != nil {
			c.Err = err.Error()
		}
		in.Checks = append(in.Checks, c)
	}
}

// settled reports whether every series that speaks in the window had spoken by
// then.
func (l *Loop) settled(ctx context.Context, in *verify.Input, cond heal.Condition, at time.Time) bool {
	fresh, err := l.parts.Metrics.Fresh(ctx, cond.Expr, cond.Labels, in.From, at)
	return err != nil || answering(fresh, in.From) >= answering(in.Freshness, in.From)
}

// answering counts the selectors with a sample newer than from.
func answering(fresh []verify.Freshness, from time.Time) int {
	n := 0
	for _, f := range fresh {
		if f.Newest.After(from) {
			n++
		}
	}
	return n
}

// callsOf counts what an entity was asked, from spans.
const callsOf = `traces_span_metrics_calls_total{span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"}`

// trafficMemory is how long ago a target may have been measured to count as
// one whose requests are.
const trafficMemory = time.Hour

// traffic says whether the target was in use. A target whose requests were
// measured before the action is one whose silence says something.
func (l *Loop) traffic(ctx context.Context, target heal.EntityID, from, to time.Time) verify.Traffic {
	if target.Kind() != heal.KindService {
		return verify.Traffic{}
	}
	labels := map[string]string{"service_name": target.Name()}
	fresh, err := l.parts.Metrics.Fresh(ctx, callsOf, labels, from.Add(-trafficMemory), to)
	if err != nil || len(fresh) == 0 || fresh[0].Newest.IsZero() {
		return verify.Traffic{}
	}
	return verify.Traffic{Known: true, Newest: fresh[0].Newest}
}

// probe is the monitor that answers for the target: the one the condition
// names, else the worst of those that look at it.
func (l *Loop) probe(target heal.EntityID, cond heal.Condition) *verify.Probe {
	if cond.Kind == heal.ConditionProbe {
		if p, ok := l.parts.Probes.Named(cond.Probe); ok {
			return &p
		}
		return nil
	}
	var worst *verify.Probe
	for _, p := range l.parts.Probes.Of(target) {
		if worst == nil || worst.Healthy && !p.Healthy {
			worst = &p
		}
	}
	return worst
}

// remnant is a fault of a healed case that still holds, by its source's word.
type remnant struct {
	fault heal.Fault
	wait  time.Duration
}

// remnants are the secondary faults that hold although the case is healed. One
// whose own condition is false by now has gone too, its source will say so. One
// whose condition is true stands on its own. Of the others only the sources can
// tell, and are given the window of grouping to do so.
func (l *Loop) remnants(ctx context.Context, inc *heal.Incident) []remnant {
	ctx, cancel := context.WithTimeout(ctx, gatherTimeout)
	defer cancel()
	var left []remnant
	for _, m := range inc.Members {
		f := m.Fault
		if m.Role == heal.Primary || !f.ClearedAt.IsZero() {
			continue
		}
		holds, known := l.holds(ctx, &f)
		switch {
		case known && holds:
			left = append(left, remnant{fault: f})
		case !known:
			left = append(left, remnant{f, l.opts.Window})
		}
	}
	return left
}

// holds asks whether the condition of a fault is true now; known is false if
// that cannot be told.
func (l *Loop) holds(ctx context.Context, f *heal.Fault) (holds, known bool) {
	now := l.now()
	switch f.Condition.Kind {
	case heal.ConditionPromQL:
		recent := now.Add(-max(2*f.Condition.Interval, l.opts.Verify))
		fresh, err := l.parts.Metrics.Fresh(ctx, f.Condition.Expr, f.Condition.Labels, recent, now)
		if err != nil || answering(fresh, recent) < len(fresh) || len(fresh) == 0 {
			return false, false
		}
		holds, err := l.parts.Metrics.Holds(ctx, f.Condition.Expr, f.Condition.Labels, now)
		return holds, err == nil
	case heal.ConditionProbe:
		p, ok := l.parts.Probes.Named(f.Condition.Probe)
		return !p.Healthy, ok
	case heal.ConditionNone:
		return false, false
	}
	return false, false
}
