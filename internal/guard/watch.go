package guard

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Pauser holds runs; the engine is one. Kind Conflict: the run is not going.
type Pauser interface {
	Pause(ctx context.Context, id heal.RunID, by, why string) error
}

// Watch pauses runs when a kill switch is turned on, so that they stop at their
// next safe point, the end of the step in flight, and not only when they ask
// for their next step: a run that waits an hour is held now.
type Watch struct {
	Store  store.Store
	Runs   Pauser
	Clock  func() time.Time
	Logger *slog.Logger
}

// lookEvery bounds how often a busy store is looked into; restAfterError keeps a
// watch that cannot read it from spinning. Both are far below the second within
// which a switch is to be seen.
const (
	lookEvery      = 200 * time.Millisecond
	restAfterError = 500 * time.Millisecond
)

// Run watches until ctx ends. What was turned on before it began counts too.
func (w *Watch) Run(ctx context.Context) error {
	var seen store.Revision // of the switches; 0: none yet
	var newest store.Revision
	for ctx.Err() == nil {
		on, at, err := w.turned(ctx, seen)
		if err == nil {
			err = w.halt(ctx, on)
		}
		if err == nil {
			seen, newest = at, max(newest, at)
			newest, err = w.Store.Wait(ctx, newest)
			rest(ctx, lookEvery)
		}
		if err != nil && ctx.Err() == nil {
			w.Logger.Error("watch the kill switches, will try again", slog.Any("error", err))
			rest(ctx, restAfterError)
		}
	}
	return nil
}

// turned lists the kill switches that are on, if any switch was turned after a
// revision.
func (w *Watch) turned(ctx context.Context, after store.Revision) (on []Switch, at store.Revision, err error) {
	err = w.Store.View(ctx, func(r store.Reader) error {
		at, on = r.Revision(), nil
		changes, err := r.Changes(store.Switches, after, 1)
		if err != nil && !errors.Is(err, store.ErrCompacted) {
			return err
		}
		if err == nil && len(changes) == 0 {
			return nil
		}
		all, err := Switches(r)
		for _, s := range all {
			if s.On {
				on = append(on, s)
			}
		}
		return err
	})
	return on, at, err
}

// halt pauses every run that is going in the scope of a switch, and records why.
func (w *Watch) halt(ctx context.Context, on []Switch) error {
	if len(on) == 0 {
		return nil
	}
	var going []heal.Run
	err := w.Store.View(ctx, func(r store.Reader) error {
		rows, err := store.RunKind.All(r, store.Query{Where: []store.Cond{{Column: "state", Op: store.Eq, Value: string(heal.RunRunning)}}})
		going = nil
		for i := range rows {
			going = append(going, rows[i].Value)
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := range going {
		reach := reaching(on, kindKill, going[i].Scope)
		if len(reach) == 0 {
			continue
		}
		if err := w.pause(ctx, &going[i], reach[0]); err != nil {
			return err
		}
	}
	return nil
}

func (w *Watch) pause(ctx context.Context, run *heal.Run, s Switch) error {
	now := w.Clock()
	req := Request{Run: run.ID, Incident: run.IncidentID, Target: run.Target, Scope: run.Scope, Action: "playbook " + run.Playbook, Touches: true}
	v := Judge(req, History{Switches: []Switch{s}, Spent: true}, Limits{}, now)
	err := w.Runs.Pause(ctx, run.ID, "the kill switch", v.Reason.Text)
	if heal.Is(err, heal.Conflict) {
		return nil // it ended, waits for a person, or is undoing: each step asks for itself
	}
	if err != nil {
		return err
	}
	return w.Store.Update(ctx, func(tx store.Tx) error { return record(tx, req, "", v, now) })
}

func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
