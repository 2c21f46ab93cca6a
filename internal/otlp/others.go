package otlp

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// others are the connections that net/http serves, and whether one is fresh: no
// request was read of it.
type others struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
}

// set is the ConnState of a http.Server.
func (o *others) set(c net.Conn, state http.ConnState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conns == nil {
		o.conns = map[net.Conn]bool{}
	}
	switch state {
	case http.StateNew:
		o.conns[c] = true
	case http.StateActive, http.StateIdle:
		o.conns[c] = false
	case http.StateClosed, http.StateHijacked:
		delete(o.conns, c)
	}
}

func (o *others) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.conns) == 0
}

// fresh gives the connections of which no request was read.
func (o *others) fresh() (all []net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c, fresh := range o.conns {
		if fresh {
			all = append(all, c)
		}
	}
	return all
}

// stopHTTP stops net/http, which accepts no more. Senders learn with their next
// answers that their connections end. Fresh connections have the time of a last
// request: net/http would wait for theirs for 5 s.
func (s *Server) stopHTTP(ctx context.Context, httpServer *http.Server) {
	if !s.others.empty() {
		select {
		case <-time.After(lastCall):
		case <-ctx.Done():
		}
	}
	for _, c := range s.others.fresh() {
		_ = c.Close() // or it is closed by who serves it
	}
	if err := httpServer.Shutdown(ctx); err != nil {
		_ = httpServer.Close() // time is up: what is in flight is cut
	}
}
