package postgres

import (
	"context"
	"math/rand/v2"
	"time"
)

// patience is how long a call still waits for a database that is away.
type patience struct {
	until time.Time
	next  time.Duration
}

func (db *DB) patience() *patience {
	return &patience{until: time.Now().Add(db.opts.Patience), next: 10 * time.Millisecond}
}

// wait waits before the next try, longer each time and not all at once; false
// if there shall be none.
func (p *patience) wait(ctx context.Context, done <-chan struct{}) bool {
	pause := p.next/2 + rand.N(p.next/2)
	p.next = min(2*p.next, time.Second)
	if time.Now().Add(pause).After(p.until) {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-done:
	}
	return false
}
