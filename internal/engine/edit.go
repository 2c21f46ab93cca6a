package engine

import (
	"context"
	"errors"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// errStale says that a run changed since it was remembered.
var errStale = errors.New("the run changed meanwhile")

// memory is a run as it was last made durable or read, with the book it pins.
// Whoever holds one may change the run without reading it again: the store
// takes the change only if the run is still at that revision, and everything
// that claims or ends a try changes its run.
type memory struct {
	run  store.Stored[heal.Run]
	book Book
	own  *belongings // nil: not known
}

// edit is one durable change of a run in the making: the events applied so far
// and what must be written because of them. It lives in one transaction.
type edit struct {
	e       *Engine
	tx      store.Tx
	from    memory
	trusted bool // from was remembered, not read in this transaction
	own     *belongings
	plan    *Plan    // the book's, unless the run is asked for with an approval of its own
	run     heal.Run // as it will be written
	now     time.Time
	queue   []Queue // tries made due and not yet begun
	wakes   []Wake
	notes   []Note
	rouse   bool // waits end now
	asleep  bool // a wait began that is over before the dispatcher would look by itself
	over    bool
}

// change makes one durable change of a run. known is where it stood when it
// was last seen, nil if that is not known; f may run more than once.
func (e *Engine) change(ctx context.Context, id heal.RunID, known *memory, f func(*edit) error) (out applied, err error) {
	for {
		err = e.store.Update(ctx, func(tx store.Tx) error {
			d, err := e.edit(tx, id, known)
			if err != nil {
				return err
			}
			if err := f(d); err != nil {
				return err
			}
			out, err = d.write()
			return err
		})
		if known == nil || !errors.Is(err, errStale) {
			break
		}
		known = nil
	}
	if err == nil {
		e.after(ctx, out)
	}
	return out, err
}

func (e *Engine) edit(tx store.Tx, id heal.RunID, known *memory) (*edit, error) {
	if known != nil {
		return e.editOf(tx, *known, true), nil
	}
	m, err := e.load(tx, id)
	if err != nil {
		return nil, err
	}
	return e.editOf(tx, m, false), nil
}

func (e *Engine) editOf(tx store.Tx, m memory, trusted bool) *edit {
	return &edit{e: e, tx: tx, from: m, trusted: trusted, own: m.own.clone(), plan: m.book.Plan(), run: m.run.Value, now: e.opts.Clock()}
}

// load reads a run and the book it pins.
func (e *Engine) load(r store.Reader, id heal.RunID) (memory, error) {
	run, err := store.RunKind.Get(r, string(id))
	if err != nil {
		return memory{}, err
	}
	book, err := e.books.book(r, run.Value.Digest)
	return memory{run: run, book: book}, err
}

// still checks that a job is as it was when it was last seen. A run that is
// still at the revision it was remembered at says so too.
func (d *edit) still(j job) error {
	if d.trusted {
		return nil
	}
	row, err := jobKind.Get(d.tx, j.Key)
	if err != nil {
		return gone(err)
	}
	if !row.Value.same(j) {
		return errGone
	}
	return nil
}

// finish checks that a job is still the one that was worked on and removes it.
func (d *edit) finish(j job) error {
	if err := d.still(j); err != nil {
		return err
	}
	return d.remove(j)
}

// remove removes a job. If it is gone, so is what was remembered.
func (d *edit) remove(j job) error {
	err := d.tx.Delete(store.Steps, j.Key)
	if d.trusted && heal.Is(err, heal.NotFound) {
		return errStale
	}
	d.own.dropJob(j.Key)
	return err
}

// put writes a job.
func (d *edit) put(j *job) error {
	d.own.addJob(j.Key)
	_, err := jobKind.Put(d.tx, j, store.Any)
	return err
}

// step applies one event.
func (d *edit) step(ev Event) error {
	after, effects, err := Step(d.run, d.plan, ev, d.now)
	if err != nil {
		return err
	}
	d.run = after
	for _, effect := range effects {
		switch effect := effect.(type) {
		case Queue:
			d.queue = append(d.queue, effect)
		case Wake:
			d.wakes = append(d.wakes, effect)
		case Interrupt:
			d.rouse = true
		case Tell:
			d.notes = append(d.notes, Note{Text: effect.Text})
		case Escalate:
			d.notes = append(d.notes, Note{Text: effect.Text, Urgent: true})
		case Over:
			d.over = true
		}
	}
	return nil
}

// write writes the run, what its events call for and what the listener adds.
func (d *edit) write() (applied, error) {
	e := d.e
	revision, err := store.RunKind.Put(d.tx, &d.run, d.from.run.Revision)
	if heal.Is(err, heal.Conflict) {
		return applied{}, errStale
	}
	if err != nil {
		return applied{}, err
	}
	out := applied{memory: memory{run: store.Stored[heal.Run]{Value: d.run, Revision: revision}, book: d.from.book, own: d.own}, at: d.now, interrupt: d.rouse, soon: d.rouse || d.asleep}
	if err := d.writeJobs(&out); err != nil {
		return applied{}, err
	}
	if d.over {
		if err := d.clear(); err != nil {
			return applied{}, err
		}
	}
	if d.from.run.Revision != store.Fresh {
		out.was = d.from.run.Value.State
	}
	if e.opts.Listener == nil {
		return out, nil
	}
	change := Change{After: d.run, At: d.now, Notes: d.notes, Over: d.over, committed: &out.committed}
	if d.from.run.Revision != store.Fresh {
		change.Before = d.from.run.Value
	}
	return out, e.opts.Listener.RunChanged(d.tx, change)
}

// writeJobs queues the tries and wake-ups that the events made due.
func (d *edit) writeJobs(out *applied) error {
	if d.rouse {
		if err := d.e.rouse(d.tx, d.run.ID, d.now); err != nil {
			return err
		}
	}
	for _, q := range d.queue {
		j := d.e.readyJob(q.Key, q.Due)
		if err := d.put(&j); err != nil {
			return err
		}
		if q.Due.After(d.now) {
			out.soon = out.soon || d.e.soon(q.Due, d.now)
		} else {
			out.ready = append(out.ready, j)
		}
	}
	for _, w := range d.wakes {
		j := d.e.wakeJob(d.run.ID, w.At)
		if err := d.put(&j); err != nil {
			return err
		}
		out.soon = out.soon || d.e.soon(w.At, d.now)
	}
	return nil
}
