package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat/homeostat/internal/heal"
)

// perform carries an order out on one process: begun is on disk before the
// world is touched, done after.
func (d *Driver) perform(ctx context.Context, p *Process, o order) (*output, error) {
	unlock, err := d.lock(ctx, p)
	if err != nil {
		return nil, err
	}
	defer unlock()
	rec, err := d.load(p)
	if err != nil {
		return nil, err
	}
	if o.target != "" {
		if err := rec.fence(o.target, o.epoch); err != nil {
			return nil, err
		}
	}
	s := rec.step(o.key)
	switch {
	case s != nil && s.done():
		return s.Output, nil
	case s != nil && o.action == actSignal:
		return nil, heal.Errorf(heal.Unknown, "signal process "+p.Name, "it was about to be sent before; whether it was is not known")
	case s == nil:
		if err := o.aim(rec, p); err != nil {
			return nil, err
		}
		s = rec.begin(d.first(rec, p, o))
	}
	if err := d.save(d.file(p, ".json"), rec); err != nil {
		return nil, err
	}
	if err := d.act(ctx, p, rec, s, o); err != nil {
		return nil, overtime(ctx, err)
	}
	s.Output = rec.output(d.boot, s)
	if err := d.save(d.file(p, ".json"), rec); err != nil {
		return nil, heal.Errorf(heal.Unknown, "record what was done", "%w", err)
	}
	return s.Output, nil
}

// aim sets the size of a relative order: more or fewer than were wanted before
// its first try. A process that was stopped on purpose has no size to begin
// from.
func (o *order) aim(rec *record, p *Process) error {
	if o.action != actScaleBy {
		return nil
	}
	if earlier := rec.earlierTry(o.key); earlier != nil {
		o.want = earlier.Want
		return nil
	}
	before := rec.wanted(p)
	switch want := before + o.by; {
	case before == 0:
		return heal.Errorf(heal.Invalid, "scale process "+p.Name, "it was stopped; start it first")
	case want < 1 || want > p.MaxInstances:
		return heal.Errorf(heal.Invalid, "scale process "+p.Name, "%d instances and %+d would be %d, expected 1 to %d", before, o.by, want, p.MaxInstances)
	default:
		o.want = want
		return nil
	}
}

// first is the step of an order that was never seen, and what it makes wanted
// from now on.
func (d *Driver) first(rec *record, p *Process, o order) step {
	s := step{Key: o.key, Action: o.action, Before: len(rec.running(d.boot))}
	switch o.action {
	case actStop:
		rec.Wanted = new(int)
	case actScale, actScaleBy:
		rec.Wanted = &o.want
	case actStart, actRestart:
		if rec.wanted(p) == 0 {
			rec.Wanted = nil
		}
	}
	s.Want = rec.wanted(p)
	return s
}

func (d *Driver) act(ctx context.Context, p *Process, rec *record, s *step, o order) error {
	switch o.action {
	case actStart:
		return d.fillUp(ctx, p, rec, s)
	case actStop, actScale, actScaleBy:
		if err := d.cutBack(ctx, p, rec, s, o); err != nil {
			return err
		}
		return d.fillUp(ctx, p, rec, s)
	case actRestart:
		return d.restart(ctx, p, rec, s, o)
	case actSignal:
		return d.signal(p, rec, o)
	}
	return heal.Errorf(heal.Internal, "act on process", "no way to do %s", o.action)
}

// fillUp starts the instances below Want that do not run.
func (d *Driver) fillUp(ctx context.Context, p *Process, rec *record, s *step) error {
	for n := range s.Want {
		if in := rec.instance(n); in == nil || !in.alive(d.boot) {
			if err := d.start(ctx, p, rec, n, s.Key); err != nil {
				return err
			}
		}
		if err := d.awaitReady(ctx, p, *rec.instance(n)); err != nil {
			return err
		}
	}
	return nil
}

// cutBack stops the instances from Want on, highest first.
func (d *Driver) cutBack(ctx context.Context, p *Process, rec *record, s *step, o order) error {
	running := rec.running(d.boot)
	for i := len(running) - 1; i >= 0 && running[i].N >= s.Want; i-- {
		if err := d.stop(ctx, p, running[i], o); err != nil {
			return err
		}
	}
	return nil
}

// restart goes through the instances one after the other, so that the others
// serve meanwhile. One that this key has started already is left alone.
func (d *Driver) restart(ctx context.Context, p *Process, rec *record, s *step, o order) error {
	for n := range s.Want {
		in := rec.instance(n)
		if in == nil || in.Key != s.Key {
			if in != nil {
				if err := d.stop(ctx, p, *in, o); err != nil {
					return err
				}
			}
			if err := d.start(ctx, p, rec, n, s.Key); err != nil {
				return err
			}
		}
		if err := d.awaitReady(ctx, p, *rec.instance(n)); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) signal(p *Process, rec *record, o order) error {
	running := rec.running(d.boot)
	if len(running) == 0 {
		return heal.Errorf(heal.NotFound, "signal process "+p.Name, "no instance of it runs")
	}
	for _, in := range running {
		h, err := hold(in.identity, d.boot)
		if err != nil {
			return err
		}
		if h == nil {
			continue // ended since
		}
		err = h.signal(d.signals[o.signal])
		if err := errors.Join(err, h.Close()); err != nil {
			return heal.Wrap(fmt.Sprintf("signal process %s (pid %d)", p.Name, in.PID), err)
		}
	}
	return nil
}

// start starts one instance and records it.
func (d *Driver) start(ctx context.Context, p *Process, rec *record, n int, key string) error {
	if err := ctx.Err(); err != nil {
		return heal.Errorf(heal.Unknown, "start process "+p.Name, "%w", err)
	}
	in, err := d.spawn(p, n, key)
	if err != nil {
		return err
	}
	d.log.Info("process started", in.attrs(p), slog.String("step_key", key))
	rec.put(in)
	return d.save(d.file(p, ".json"), rec)
}

// stop ends one instance: SIGTERM, the grace, SIGKILL; then it kills what is
// left of its process group. It returns when the process has ended.
func (d *Driver) stop(ctx context.Context, p *Process, in instance, o order) error {
	op := fmt.Sprintf("stop process %s (instance %d, pid %d)", p.Name, in.N, in.PID)
	h, err := hold(in.identity, d.boot)
	if err != nil || h == nil {
		return heal.Wrap(op, err)
	}
	defer func() { _ = h.Close() }() // nothing is written through it
	d.log.Info("process is told to stop", in.attrs(p), slog.String("step_key", o.key))
	if err := h.signal(unix.SIGTERM); err != nil {
		return heal.Wrap(op, err)
	}
	patience, cancel := context.WithTimeout(ctx, patience(ctx, p, o))
	defer cancel()
	if err := h.await(patience); err == nil {
		return heal.Wrap(op, h.killGroup())
	}
	if err := ctx.Err(); err != nil {
		return heal.Errorf(heal.Unknown, op, "it was told to stop and has not yet: %w", err)
	}
	d.log.Warn("process did not stop in its grace and is killed", in.attrs(p), slog.String("step_key", o.key))
	if err := h.killGroup(); err != nil {
		return heal.Wrap(op, err)
	}
	if err := h.await(ctx); err != nil {
		return heal.Errorf(heal.Unknown, op, "it was killed and has not ended yet: %w", err)
	}
	return nil
}

// patience is the grace of a stop, cut to half of the time the call has left
// so that a stop that needs the kill still ends in time.
func patience(ctx context.Context, p *Process, o order) time.Duration {
	grace := p.Grace
	if o.grace > 0 {
		grace = o.grace
	}
	if deadline, ok := ctx.Deadline(); ok {
		grace = min(grace, time.Until(deadline)/2)
	}
	return grace
}

// overtime makes an error Unknown when the call's time ran out: by then
// something has been begun.
func overtime(ctx context.Context, err error) error {
	if ctx.Err() == nil || heal.Is(err, heal.Unknown) {
		return err
	}
	return heal.Errorf(heal.Unknown, "", "%w", err)
}
