package guard

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// tally is one line of the history of a scope. It lies in the table of the
// entries, under the scope in place of a target, so that a window is one look
// at an index and survives every restart.
type tally struct {
	What   string        `json:"what"`
	Scope  heal.Scope    `json:"scope"`
	Run    heal.RunID    `json:"run"`
	Target heal.EntityID `json:"target"`
	At     time.Time     `json:"at"`
	Per    per           `json:"per,omitempty"`
}

// per says of what a scope has one line, the newest.
type per string

const (
	perTry    per = "" // of every run and target
	perRun    per = "run"
	perTarget per = "target"
)

// What lines of a scope tell.
const (
	touched = "touched" // a run began to touch a target in it
	vainly  = "vainly"  // an attempt on a target in it did not heal
)

var tallyKind = store.Kind[tally]{
	Table: store.Actions, Version: 1,
	Key:     (*tally).key,
	Columns: func(t *tally) []any { return []any{shelf(t.What, t.Scope), "", "", store.Nanos(t.At)} },
}

func (t *tally) key() string {
	on := shelf(t.What, t.Scope)
	switch t.Per {
	case perRun:
		return fmt.Sprintf("%s/%s", on, t.Run)
	case perTarget:
		return fmt.Sprintf("%s/%s", on, t.Target)
	case perTry:
	}
	return fmt.Sprintf("%s/%s/%s", on, t.Run, t.Target)
}

// shelf is what stands in place of the target. No entity is named so, as none
// may have a wildcard.
func shelf(what string, scope heal.Scope) string { return "*" + what + ":" + scope.String() }

// acted reads the newest lines of a scope since a time, newest first.
func acted(r store.Reader, what string, scope heal.Scope, since time.Time, limit int) ([]Act, error) {
	rows, _, err := tallyKind.List(r, store.Query{
		Where: []store.Cond{{Column: "target", Op: store.Eq, Value: shelf(what, scope)}, {Column: "at", Op: store.Gt, Value: store.Nanos(since)}},
		Order: "at", Desc: true, Limit: min(limit, store.MaxPage),
	})
	acts := make([]Act, len(rows))
	for i := range rows {
		t := &rows[i].Value
		acts[i] = Act{Run: t.Run, Target: t.Target, At: t.At}
	}
	return acts, err
}

// scopesOf gathers what is known of the scopes a request lies in.
func scopesOf(r store.Reader, req *Request, l *Limits, now time.Time) ([]ScopeFacts, error) {
	if l.Census == nil {
		return nil, nil
	}
	var list []ScopeFacts
	for _, scope := range levels(req.Scope) {
		own := l.For(scope)
		f := ScopeFacts{Scope: scope, Standing: l.Census.Standing(scope, own.Storm.Within, now)}
		window, limit := own.Blast.Window, own.Blast.room(f.Instances)
		if f.small(&own) {
			window, limit = own.Small.Window, own.Small.Actions
		}
		var err error
		if f.Acted, err = acted(r, touched, scope, now.Add(-window), limit); err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

// takeDown writes that a run began to touch its target into the history of
// every scope that counts it.
func takeDown(tx store.Tx, req *Request, l *Limits, now time.Time) error {
	var lines []tally
	if l.Census != nil {
		for _, scope := range levels(req.Scope) {
			own := l.For(scope)
			f := ScopeFacts{Scope: scope, Standing: l.Census.Standing(scope, own.Storm.Within, now)}
			line := tally{Scope: scope, Per: perTarget}
			if f.small(&own) {
				line.Per = perRun
			}
			lines = append(lines, line)
		}
	}
	if l.quota(req.Scope.Tenant).Actions > 0 {
		lines = append(lines, tally{Scope: heal.Scope{Tenant: req.Scope.Tenant}, Per: perRun})
	}
	for i := range lines {
		t := &lines[i]
		t.What, t.Run, t.Target, t.At = touched, req.Run, req.Target, now
		if _, err := tallyKind.Put(tx, t, store.Any); err != nil {
			return err
		}
	}
	return nil
}

// heals counts the verified successes of a playbook, as far as it takes to
// prove it.
func heals(r store.Reader, playbook string, enough int) (n int, err error) {
	q := store.Query{Where: []store.Cond{{Column: "playbook", Op: store.Eq, Value: playbook}}, Order: "at", Desc: true}
	for {
		rows, cursor, err := store.OutcomeKind.List(r, q)
		if err != nil {
			return n, err
		}
		for i := range rows {
			if rows[i].Value.Result == heal.AttemptHealed {
				n++
			}
		}
		if n >= enough || cursor == "" {
			return n, nil
		}
		q.Cursor = cursor
	}
}
