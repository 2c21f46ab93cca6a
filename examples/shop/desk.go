package shop

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// desk is where every request is signed in and out. A bug that takes its lock
// and does not give it back stops the whole process: connections are accepted,
// nothing is answered, and even a graceful stop waits.
type desk struct {
	mu     sync.Mutex
	inside int
	closed bool
}

// enter signs a request in; false once the desk is closed.
func (d *desk) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.inside++
	return true
}

func (d *desk) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside--
}

// close is the last thing of a graceful stop.
func (d *desk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// jam is the bug: one lock waits for the other, for ever or until ctx ends.
func (d *desk) jam(ctx context.Context) {
	held := make(chan struct{})
	go func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		close(held)
		<-ctx.Done()
	}()
	<-held
}

// patience is how long the lock may be taken before watch calls it a deadlock.
const patience = 3 * time.Second

// watch looks at the lock every second until ctx ends, and tells of one that is
// not given back.
func (d *desk) watch(ctx context.Context, tell func(held time.Duration)) {
	free := time.Now()
	for sleep(ctx, time.Second) {
		if d.mu.TryLock() {
			d.mu.Unlock()
			free = time.Now()
		} else if held := time.Since(free); held >= patience {
			tell(held)
		}
	}
}

// wrap signs the requests of a handler in and out.
func (d *desk) wrap(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !d.enter() {
			http.Error(w, "closing", http.StatusServiceUnavailable)
			return
		}
		defer d.leave()
		h(w, r)
	}
}
