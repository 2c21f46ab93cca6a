package guard

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// breaker stops what automation begins in a scope where it did not help.
func breaker(q *question) Verdict {
	if !automated(&q.Request, &q.History) || len(q.Breakers) == 0 {
		return Verdict{}
	}
	b := q.Breakers[0]
	return refuse(RuleBreaker, time.Time{}, map[string]any{"scope": where(b.Scope), "since": b.At},
		"the breaker of %s is open since %s: %s; only a person closes it", where(b.Scope), clock(b.At), b.Why)
}

// Ending is how an attempt of a case ended.
type Ending struct {
	Run    heal.RunID
	Target heal.EntityID
	Scope  heal.Scope
	Healed bool // verified
}

// Report takes down how an attempt ended and opens the breakers that are due
// because of it; those are given. A breaker that is open stays as it is.
func Report(tx store.Tx, e Ending, l Limits, now time.Time) (opened []Switch, err error) {
	if l.Census == nil || e.Target.Validate() != nil {
		return nil, nil
	}
	all, err := allSwitches(tx)
	if err != nil {
		return nil, err
	}
	for _, scope := range levels(e.Scope) {
		own := l.For(scope)
		if own.Breaker.Actions <= 0 {
			continue
		}
		vain, err := unhealed(tx, e, scope, own.Breaker, last(all, scope), now)
		if err != nil {
			return nil, err
		}
		f := ScopeFacts{Scope: scope, Standing: l.Census.Standing(scope, own.Storm.Within, now)}
		why, due := own.Breaker.due(vain, &f, own.Small.Instances)
		if !due || isOpen(all, scope) {
			continue
		}
		b := Switch{Kind: kindBreaker, Scope: scope, On: true, By: "homeostat", Why: why, At: now}
		if _, err := switchKind.Put(tx, &b, store.Any); err != nil {
			return nil, err
		}
		opened = append(opened, b)
	}
	return opened, nil
}

// due reports whether so much was done in vain that automation must stop. In a
// small cluster a share says nothing: there each service has its own breaker.
func (b Breaker) due(vain []Act, f *ScopeFacts, smallest int) (why string, due bool) {
	runs, targets := map[heal.RunID]bool{}, map[heal.EntityID]bool{}
	for _, a := range vain {
		runs[a.Run], targets[a.Target] = true, true
	}
	shared := f.Known && f.Instances >= smallest
	if len(runs) < b.Actions || !shared && f.Scope.Service == "" {
		return "", false
	}
	if f.Known && float64(len(targets)) < b.Share*float64(f.Instances)-1e-9 {
		return "", false
	}
	of := "of a number nobody knows"
	if f.Known {
		of = fmt.Sprintf("of %d", f.Instances)
	}
	return fmt.Sprintf("%d actions on %s %s within %s did not heal", len(runs), count(len(targets), "instance"), of, b.Window), true
}

// unhealed takes the ending into the history of a scope and gives what was done
// in vain there within the window, since its breaker was last closed.
func unhealed(tx store.Tx, e Ending, scope heal.Scope, b Breaker, closed time.Time, now time.Time) ([]Act, error) {
	since := now.Add(-b.Window)
	if closed.After(since) {
		since = closed
	}
	if !e.Healed {
		t := tally{What: vainly, Scope: scope, Run: e.Run, Target: e.Target, At: now}
		if _, err := tallyKind.Put(tx, &t, store.Any); err != nil {
			return nil, err
		}
	}
	acts, err := acted(tx, vainly, scope, since, mostTargets)
	if err != nil || !e.Healed {
		return acts, err
	}
	var left []Act
	for _, a := range acts {
		if a.Target != e.Target {
			left = append(left, a)
			continue
		}
		t := tally{What: vainly, Scope: scope, Run: a.Run, Target: a.Target}
		if err := tx.Delete(store.Actions, t.key()); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// last is when the breaker of a scope was last closed.
func last(all []Switch, scope heal.Scope) time.Time {
	for _, s := range all {
		if s.Kind == kindBreaker && s.Scope == scope && !s.On {
			return s.At
		}
	}
	return time.Time{}
}

func isOpen(all []Switch, scope heal.Scope) bool {
	for _, s := range all {
		if s.Kind == kindBreaker && s.Scope == scope {
			return s.On
		}
	}
	return false
}

// Breakers lists every breaker that ever opened, also those closed since.
func Breakers(r store.Reader) ([]Switch, error) {
	return switchesOf(r, kindBreaker)
}

// CloseBreaker closes the open breaker of exactly this scope, in a person's
// name; kind NotFound if none is open. What was done in vain before counts no
// more.
func CloseBreaker(tx store.Tx, scope heal.Scope, by, why string, now time.Time) (Switch, error) {
	all, err := Breakers(tx)
	if err != nil {
		return Switch{}, err
	}
	if !isOpen(all, scope) {
		return Switch{}, heal.Errorf(heal.NotFound, "close the breaker of "+where(scope), "it is not open")
	}
	b := Switch{Kind: kindBreaker, Scope: scope, By: by, Why: why, At: now}
	_, err = switchKind.Put(tx, &b, store.Any)
	return b, err
}
