package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
)

// inFlight is how many runs a restart finds.
const inFlight = 1000

// hangs is the driver of a server that dies: its calls never end.
type hangs struct{ *touches }

func (hangs) Do(ctx context.Context, _ action.Call) (action.Result, error) {
	<-ctx.Done()
	return action.Result{}, heal.Errorf(heal.Unknown, "touch", "%w", ctx.Err())
}

// arrives hears of each run once.
type arrives struct {
	*touches
	mu   sync.Mutex
	seen map[heal.RunID]bool
	all  chan struct{} // closed when every run was seen
}

func (a *arrives) Do(_ context.Context, call action.Call) (action.Result, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.seen[call.Key.Run] {
		a.seen[call.Key.Run] = true
		if len(a.seen) == inFlight {
			close(a.all)
		}
	}
	return action.Result{}, nil
}

// measureTakeUp leaves runs in flight as a crash does, opens the store anew and
// measures until the driver was called for each of them.
func measureTakeUp(ctx context.Context, r *report, open func() (closing, error)) error {
	db, err := open()
	if err != nil {
		return err
	}
	dying, kill := context.WithCancel(ctx)
	defer kill()
	dead, ended, err := startEngine(dying, db, hangs{&touches{}})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte(fiveSteps)))
	for i := range inFlight {
		if err = begin(ctx, dead, digest, fmt.Sprintf("left-%d", i)); err != nil {
			break
		}
	}
	kill()
	if err := errors.Join(err, <-ended, db.Close()); err != nil {
		return err
	}
	began := time.Now()
	if db, err = open(); err != nil {
		return err
	}
	living, stop := context.WithCancel(ctx)
	defer stop()
	next := &arrives{touches: &touches{}, seen: map[heal.RunID]bool{}, all: make(chan struct{})}
	_, ended, err = startEngine(living, db, next)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	select {
	case <-next.all:
		r.atMost(5000, fmt.Sprintf("%d runs in flight taken up after a restart", inFlight), float64(time.Since(began).Microseconds())/1000, "ms", "until the driver was called for each, the opening of the store included")
	case <-time.After(time.Minute):
		err = fmt.Errorf("%d of %d runs were taken up within a minute", len(next.seen), inFlight)
	case <-ctx.Done():
		err = ctx.Err()
	}
	stop()
	return errors.Join(err, <-ended, db.Close())
}

func startEngine(ctx context.Context, db closing, driver action.Driver) (*engine.Engine, <-chan error, error) {
	set, err := action.NewSet(driver)
	if err != nil {
		return nil, nil, err
	}
	e := engine.New(db, set, engine.Playbooks{Specs: set.Specs()}, engine.Options{
		Owner: heal.NewID(time.Now(), rand.Reader), Sole: true, Clock: time.Now, Entropy: rand.Reader, Limits: counted(), Drain: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	return e, ended, nil
}

// openRuns is how many runs are open in a server whose memory is measured.
const openRuns = 10_000

// restBook is a run that waits for an hour.
const restBook = `playbook_id: rest
name: Rest
trust: auto
risk: low
tasks: [{id: rest, action: wait.for, parameters: {duration: 1h}}]
`

// measureOpen measures the memory of a server with many open runs, as they are
// given and after a restart.
func measureOpen(ctx context.Context, o *options, r *report) error {
	dir := filepath.Join(o.dir, "open")
	books := filepath.Join(o.dir, "books")
	if err := os.MkdirAll(books, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(books, "rest.yaml"), []byte(restBook), 0o600); err != nil {
		return err
	}
	s, err := up(ctx, o, dir, "HOMEOSTAT_PLAYBOOKS_DIR="+books)
	if err != nil {
		return err
	}
	_, err = timed(ctx, o.conns, openRuns, func(i int) error {
		status, answer, err := s.do(ctx, http.MethodPost, "/api/v1/playbooks/rest/runs", fmt.Appendf(nil, `{"target":"service/s-%d"}`, i))
		if err == nil && status/100 != 2 {
			err = fmt.Errorf("order run %d: %d %s", i, status, tail(string(answer)))
		}
		return err
	})
	if err == nil {
		now, peak := s.memoryMB()
		r.atMost(300, fmt.Sprintf("resident memory at %d open runs", openRuns), now, "MB", fmt.Sprintf("highest %.0f MB", peak))
	}
	if err := errors.Join(err, s.stop()); err != nil {
		return err
	}
	if s, err = up(ctx, o, dir, "HOMEOSTAT_PLAYBOOKS_DIR="+books); err != nil {
		return err
	}
	now, peak := s.memoryMB()
	r.atMost(300, fmt.Sprintf("resident memory at %d open runs, restarted", openRuns), now, "MB", fmt.Sprintf("highest %.0f MB", peak))
	return s.stop()
}
