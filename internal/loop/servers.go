package loop

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/lease"
	"github.com/homeostat/homeostat/internal/store"
)

// Several servers on one store share the work of the loop. One of them brings
// signals into cases, since what belongs together must be seen together; cases
// are divided among all. Every server follows what the others commit.

// dutySignals is the duty of the stages from deliveries to cases.
const dutySignals = "signals"

// caseShares is into how many duties cases are divided.
const caseShares = 32

// Duties are what the servers on one store divide among them of a loop's work.
func Duties() []string {
	all := []string{dutySignals}
	for i := range caseShares {
		all = append(all, dutyOfShare(i))
	}
	return all
}

func dutyOfShare(i int) string { return fmt.Sprintf("cases/%02d", i) }

// dutyOf is the duty that a case belongs to.
func dutyOf(id heal.IncidentID) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // a hash takes every write
	return dutyOfShare(int(h.Sum32() % caseShares))
}

// followRest bounds how often a busy store is looked into; recountEvery is how
// often the deliveries that wait are counted anew.
const (
	followRest   = 50 * time.Millisecond
	recountEvery = time.Second
)

// follow takes in what other servers commit until ctx ends.
func (l *Loop) follow(ctx context.Context) {
	var counted time.Time
	for ctx.Err() == nil {
		wait, cancel := context.WithTimeout(ctx, poll)
		_, err := l.parts.Store.Wait(wait, l.news.newest())
		idle := wait.Err() != nil
		cancel()
		if idle {
			err = nil
		}
		if err == nil {
			err = l.catchUp(ctx)
		}
		if now := l.now(); err == nil && now.Sub(counted) >= recountEvery {
			counted, err = now, l.countBacklog(ctx)
		}
		if err != nil && ctx.Err() == nil {
			l.opts.Logger.Error("follow what other servers do, will try again", slog.Any("error", err))
			pause(ctx, restAfterError)
			continue
		}
		for _, stage := range []chan struct{}{l.alerts, l.faults, l.cases} {
			nudge(stage)
		}
		pause(ctx, followRest)
	}
}

// news is how far this server has followed the others.
type news struct {
	turn sync.Mutex // held while taking in

	mu   sync.Mutex
	seen store.Revision
}

func (n *news) newest() store.Revision {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen
}

func (n *news) reached(at store.Revision) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = max(n.seen, at)
}

// catchUp brings the index of open cases up to what is committed now.
func (l *Loop) catchUp(ctx context.Context) error {
	l.news.turn.Lock()
	defer l.news.turn.Unlock()
	since, more := l.news.newest(), true
	for more {
		var changed []store.Stored[heal.Incident]
		var at store.Revision
		err := l.parts.Store.View(ctx, func(r store.Reader) error {
			at, changed = r.Revision(), nil
			page, err := r.Changes(store.Incidents, since, 0)
			if err != nil {
				return err
			}
			if more = len(page) == store.MaxPage; more {
				at = page[len(page)-1].Record.Revision
			}
			for _, c := range page {
				if c.Deleted {
					continue
				}
				inc, err := store.IncidentKind.Decode(c.Record)
				if err != nil {
					return err
				}
				changed = append(changed, store.Stored[heal.Incident]{Value: inc, Revision: c.Record.Revision})
			}
			return nil
		})
		if errors.Is(err, store.ErrCompacted) {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.reindex(ctx)
		}
		if err != nil {
			return err
		}
		for _, inc := range changed {
			l.settleIndex(inc.Value, inc.Revision)
		}
		l.news.reached(at)
		since = at
	}
	return nil
}

// reserveFor is how long a cause stays reserved if the server that decides
// about it dies.
const reserveFor = 30 * time.Second

// reserveEverywhere makes a case the only one on all servers that decides about
// its cause, and makes sure that this server knows every case that has decided.
func (l *Loop) reserveEverywhere(ctx context.Context, inc *heal.Incident) error {
	if l.parts.Share == nil {
		return nil
	}
	err := l.parts.Store.Update(ctx, func(tx store.Tx) error {
		_, err := lease.Acquire(tx, reservation(inc), string(inc.ID), reserveFor, l.now())
		return err
	})
	if heal.Is(err, heal.Conflict) {
		return errHeld
	}
	if err != nil {
		return err
	}
	return l.catchUp(ctx)
}

func (l *Loop) unreserveEverywhere(ctx context.Context, inc *heal.Incident) {
	if l.parts.Share == nil {
		return
	}
	err := l.parts.Store.Update(ctx, func(tx store.Tx) error { return lease.Forget(tx, reservation(inc), string(inc.ID)) })
	if err != nil && ctx.Err() == nil {
		l.opts.Logger.Warn("give back a cause; it is free by itself soon", slog.String("incident", string(inc.ID)), slog.Any("error", err))
	}
}

// reservation names the lease on a cause; its name may be longer than a key.
func reservation(inc *heal.Incident) string {
	return fmt.Sprintf("cause:%x", sha256.Sum256([]byte(inc.Scope.String()+"\x00"+string(inc.Cause))))
}
