package shop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// PoolOptions of the connection pool of inventory.
type PoolOptions struct {
	Size    int           `yaml:"size,omitempty"`    // connections at most; 8 if 0
	Wait    time.Duration `yaml:"wait,omitempty"`    // patience of a caller when all are in use; 2 s if 0
	Pending int           `yaml:"pending,omitempty"` // callers that may wait at once; 500 if 0
}

func (o PoolOptions) filled() PoolOptions {
	if o.Size == 0 {
		o.Size = 8
	}
	if o.Wait == 0 {
		o.Wait = 2 * time.Second
	}
	if o.Pending == 0 {
		o.Pending = 500
	}
	return o
}

func (o PoolOptions) validate() (errs []error) {
	if o.Size < 0 || o.Wait < 0 || o.Pending < 0 {
		errs = append(errs, fmt.Errorf("pool: size %d, wait %s and pending %d must not be negative", o.Size, o.Wait, o.Pending))
	}
	return errs
}

// errExhausted is the error of a caller who got no connection in time.
var errExhausted = errors.New("connection pool exhausted")

// pool is a bounded pool of connections to the stock database, as drivers have
// them: callers wait for a connection that is given back, up to a limit.
type pool struct {
	options PoolOptions
	dial    func(context.Context) (net.Conn, error)
	free    chan struct{} // one token for each connection that may be taken

	mu       sync.Mutex
	idle     []net.Conn
	used     map[net.Conn]bool
	pending  int
	timeouts int64
}

func newPool(o PoolOptions, dial func(context.Context) (net.Conn, error)) *pool {
	o = o.filled()
	p := &pool{options: o, dial: dial, free: make(chan struct{}, o.Size), used: map[net.Conn]bool{}}
	for range o.Size {
		p.free <- struct{}{}
	}
	return p
}

// poolStats is what a pool tells about itself.
type poolStats struct {
	idle, used, max, pending int
	timeouts                 int64
}

func (p *pool) stats() poolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return poolStats{len(p.idle), len(p.used), p.options.Size, p.pending, p.timeouts}
}

// take gives a connection, which the caller must put back or drop.
func (p *pool) take(ctx context.Context) (net.Conn, error) {
	if err := p.await(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		conn := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.used[conn] = true
		p.mu.Unlock()
		return conn, nil
	}
	p.mu.Unlock()

	conn, err := p.dial(ctx)
	if err != nil {
		p.free <- struct{}{}
		return nil, fmt.Errorf("connect to the stock database: %w", err)
	}
	p.mu.Lock()
	p.used[conn] = true
	p.mu.Unlock()
	return conn, nil
}

// await blocks until one of the connections may be taken.
func (p *pool) await(ctx context.Context) error {
	select {
	case <-p.free:
		return nil
	default:
	}
	p.mu.Lock()
	if p.pending >= p.options.Pending {
		p.timeouts++
		p.mu.Unlock()
		return fmt.Errorf("%w: %d callers wait already", errExhausted, p.options.Pending)
	}
	p.pending++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.pending--
		p.mu.Unlock()
	}()

	timer := time.NewTimer(p.options.Wait)
	defer timer.Stop()
	select {
	case <-p.free:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a connection: %w", ctx.Err())
	case <-timer.C:
		p.mu.Lock()
		p.timeouts++
		used, pending := len(p.used), p.pending
		p.mu.Unlock()
		return fmt.Errorf("%w: no connection became available within %s (%d of %d in use, %d callers waiting)",
			errExhausted, p.options.Wait, used, p.options.Size, pending)
	}
}

// put gives a healthy connection back.
func (p *pool) put(conn net.Conn) {
	p.mu.Lock()
	if !p.used[conn] {
		p.mu.Unlock()
		return // recycled meanwhile
	}
	delete(p.used, conn)
	p.idle = append(p.idle, conn)
	p.mu.Unlock()
	p.free <- struct{}{}
}

// drop closes a connection that is broken.
func (p *pool) drop(conn net.Conn) {
	p.mu.Lock()
	held := p.used[conn]
	delete(p.used, conn)
	p.mu.Unlock()
	conn.Close()
	if held {
		p.free <- struct{}{}
	}
}

// recycle closes every connection, those in use too, and gives their places
// free.
func (p *pool) recycle() int {
	p.mu.Lock()
	idle, used := p.idle, p.used
	p.idle, p.used = nil, map[net.Conn]bool{}
	p.mu.Unlock()
	for _, conn := range idle {
		conn.Close()
	}
	for conn := range used {
		conn.Close()
		p.free <- struct{}{}
	}
	return len(idle) + len(used)
}
