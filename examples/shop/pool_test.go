package shop

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pipes dials connections whose other end is nobody.
func pipes(context.Context) (net.Conn, error) {
	conn, _ := net.Pipe()
	return conn, nil
}

func takeAll(t *testing.T, p *pool) (conns []net.Conn) {
	t.Helper()
	for range p.options.Size {
		conn, err := p.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	return conns
}

func check(t *testing.T, when string, p *pool, want poolStats) {
	t.Helper()
	if diff := cmp.Diff(want, p.stats(), cmp.AllowUnexported(poolStats{})); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestPoolWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(PoolOptions{Size: 2, Wait: time.Second, Pending: 1}, pipes)
		conns := takeAll(t, p)
		check(t, "all taken", p, poolStats{used: 2, max: 2})

		got := make(chan error)
		begin := time.Now()
		wait := func() {
			conn, err := p.take(t.Context())
			if err == nil {
				p.put(conn)
			}
			got <- err
		}
		go wait()
		synctest.Wait()
		check(t, "one waits", p, poolStats{used: 2, max: 2, pending: 1})
		if _, err := p.take(t.Context()); !errors.Is(err, errExhausted) {
			t.Errorf("too many wait: got %v, want %v", err, errExhausted)
		}
		if err := <-got; !errors.Is(err, errExhausted) || time.Since(begin) != time.Second {
			t.Errorf("nothing given back: got %v after %s, want %v after 1s", err, time.Since(begin), errExhausted)
		}
		check(t, "both gave up", p, poolStats{used: 2, max: 2, timeouts: 2})

		go wait()
		synctest.Wait()
		p.put(conns[0])
		if err := <-got; err != nil {
			t.Errorf("one given back: got %v, want no error", err)
		}
		check(t, "one is idle", p, poolStats{idle: 1, used: 1, max: 2, timeouts: 2})
		p.recycle()
	})
}

func TestPoolRecycles(t *testing.T) {
	p := newPool(PoolOptions{Size: 3, Wait: time.Second}, pipes)
	conns := takeAll(t, p)
	p.put(conns[0])
	p.drop(conns[1])
	check(t, "one idle, one closed, one lost", p, poolStats{idle: 1, used: 1, max: 3})
	if got := p.recycle(); got != 2 {
		t.Errorf("recycle: got %d closed, want 2", got)
	}
	check(t, "recycled", p, poolStats{max: 3})
	p.put(conns[2]) // its holder comes back after all
	p.drop(conns[2])
	check(t, "the lost one came back", p, poolStats{max: 3})
	takeAll(t, p)
	check(t, "all taken again", p, poolStats{used: 3, max: 3})
	p.recycle()
}

func TestPoolSurvivesRefusedDials(t *testing.T) {
	refused := errors.New("refused")
	p := newPool(PoolOptions{Size: 1, Wait: time.Second}, func(context.Context) (net.Conn, error) { return nil, refused })
	for range 3 {
		if _, err := p.take(t.Context()); !errors.Is(err, refused) {
			t.Errorf("got %v, want %v and the place free again", err, refused)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.options.Size, p.free = 1, make(chan struct{})
	if _, err := p.take(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("caller left: got %v, want %v", err, context.Canceled)
	}
}
