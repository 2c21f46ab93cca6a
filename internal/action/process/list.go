package process

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Running is one instance of a process: one that is wanted, or runs though it
// is not.
type Running struct {
	Process   string
	Entity    heal.EntityID
	Instance  int
	PID       int    // of the newest start; 0 if it was never started
	Alive     bool   // it runs now
	Key       string // of the step that started it
	StartedAt time.Time
}

// List gives the instances of every process, by name and number.
func (r *reader) List(ctx context.Context) ([]Running, error) {
	var out []Running
	for _, p := range r.processes {
		if err := ctx.Err(); err != nil {
			return nil, heal.Errorf(heal.Transient, "list processes", "%w", err)
		}
		rec, err := r.load(p)
		if err != nil {
			return nil, err
		}
		for n := range rec.wanted(p) {
			if rec.instance(n) == nil {
				rec.put(instance{N: n})
			}
		}
		for _, in := range rec.Instances {
			alive := in.alive(r.boot)
			if !alive && in.N >= rec.wanted(p) {
				continue
			}
			out = append(out, Running{
				Process: p.Name, Entity: p.Entity, Instance: in.N,
				PID: in.PID, Alive: alive, Key: in.Key, StartedAt: in.StartedAt,
			})
		}
	}
	return out, nil
}

// Start starts the instances of the process that do not run and waits until
// they are ready, for programs that begin their own processes without the
// engine.
func (d *Driver) Start(ctx context.Context, name string) error {
	return d.own(ctx, name, actStart)
}

// Stop stops every instance of the process, as Start starts them.
func (d *Driver) Stop(ctx context.Context, name string) error {
	return d.own(ctx, name, actStop)
}

func (d *Driver) own(ctx context.Context, name, act string) error {
	p, err := d.named(name)
	if err != nil {
		return err
	}
	key := heal.StepKey{Run: heal.RunID("own-" + rand.Text()), Task: act, Attempt: 1}
	_, err = d.perform(ctx, p, order{key: key.String(), action: act})
	return heal.Wrap(act+" "+name, err)
}

// Adopt makes a process that something else started one of the instances of
// the named process, from then on stopped and restarted like the others. It is
// Conflict if all instances run, NotFound if nothing runs under the pid.
func (d *Driver) Adopt(ctx context.Context, name string, pid int) error {
	op := "adopt process " + name
	p, err := d.named(name)
	if err != nil {
		return err
	}
	unlock, err := d.lock(ctx, p)
	if err != nil {
		return err
	}
	defer unlock()
	rec, err := d.load(p)
	if err != nil {
		return err
	}
	s, err := readStat(pid)
	if err != nil || s.gone() {
		return heal.Errorf(heal.NotFound, op, "no process runs under pid %d", pid)
	}
	id := identity{PID: pid, Start: s.Start, Boot: d.boot}
	for n := range max(rec.wanted(p), p.Instances) {
		in := rec.instance(n)
		if in != nil && in.identity == id {
			return nil
		}
		if in == nil || !in.alive(d.boot) {
			rec.put(instance{identity: id, N: n, Key: "adopted", StartedAt: time.Now().UTC()})
			return d.save(d.file(p, ".json"), rec)
		}
	}
	return heal.Errorf(heal.Conflict, op, "all its instances run already")
}
