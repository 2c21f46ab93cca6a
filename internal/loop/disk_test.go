package loop_test

import (
	"context"
	"sync"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// disk is a store whose writes can be made to fail.
type disk struct {
	store.Store

	mu      sync.Mutex
	one     chan struct{} // while commits are counted, one update at a time
	full    bool
	left    int           // commits until the crash; negative: none is to come
	silent  bool          // the last commit is durable, but its answer is never heard
	crashed chan struct{} // closed at the crash
	commits int
}

func newDisk(s store.Store, left int) *disk {
	return &disk{Store: s, left: left, one: make(chan struct{}, 1), crashed: make(chan struct{})}
}

func (d *disk) fill(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

func (d *disk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.commits
}

// Update writes, unless the disk is full or has crashed.
func (d *disk) Update(ctx context.Context, f func(store.Tx) error) error {
	d.mu.Lock()
	full, counted := d.full, d.left >= 0
	d.mu.Unlock()
	if full {
		return heal.Errorf(heal.Transient, "update", "the disk is full")
	}
	if counted {
		return d.counted(ctx, f)
	}
	err := d.Store.Update(ctx, f)
	if err == nil {
		d.mu.Lock()
		d.commits++
		d.mu.Unlock()
	}
	return err
}

func (d *disk) counted(ctx context.Context, f func(store.Tx) error) error {
	select { // not a mutex: who waits for one would stop the bubble's time
	case d.one <- struct{}{}:
	case <-ctx.Done():
		return heal.Errorf(heal.Transient, "update", "%w", ctx.Err())
	}
	defer func() { <-d.one }()
	if d.left == 0 {
		return heal.Errorf(heal.Transient, "update", "the disk is gone")
	}
	if err := d.Store.Update(ctx, f); err != nil {
		return err
	}
	d.mu.Lock()
	d.commits++
	d.left--
	last := d.left == 0
	d.mu.Unlock()
	if !last {
		return nil
	}
	close(d.crashed)
	if d.silent {
		<-ctx.Done()
		return heal.Errorf(heal.Transient, "update", "%w", ctx.Err())
	}
	return nil
}
