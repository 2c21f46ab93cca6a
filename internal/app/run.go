package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/obs"
	"github.com/homeostat/homeostat/internal/store"
)

// Run serves until ctx ends, then stops every part within 10 s and closes what
// New opened. A part that fails takes the others down with it: half a server
// is worse than a restart.
func (s *Server) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	var once sync.Once
	var failed error
	for _, p := range s.parts {
		wg.Go(func() {
			err := p.run(work)
			if err == nil && work.Err() == nil {
				err = heal.Errorf(heal.Internal, "run", "it ended by itself")
			}
			if err != nil {
				once.Do(func() { failed = heal.Wrap(p.name, err) })
				stop()
			}
		})
	}
	s.log.Info("ready", slog.String("api", s.APIAddr()), slog.String("otlp_grpc", s.otlp.Addrs().GRPC), slog.String("otlp_http", s.otlp.Addrs().HTTP), slog.String("data", s.cfg.DataDir))
	select {
	case <-ctx.Done():
	case <-work.Done(): // a part failed
	}
	s.health.Stopping("the server was told to stop")
	s.log.Info("stopping")
	stop() // only now: nobody is sent here once parts begin to end
	wg.Wait()
	if err := s.close(); failed == nil {
		failed = err
	}
	return failed
}

// watchHealth says what readiness is made of.
func (s *Server) watchHealth() error {
	for _, c := range []obs.Check{
		{Name: "store", Ask: func(ctx context.Context) error {
			return s.store.View(ctx, func(r store.Reader) error {
				_, err := r.Count(store.Switches)
				return err
			})
		}},
		{Name: "writes", Ask: func(context.Context) error { return s.clock.Kept() }},
		{Name: "clock", Minor: true, Ask: func(context.Context) error {
			if by, since := s.clock.Moved(); by != 0 {
				return fmt.Errorf("the clock of the store %s: nothing automatic is begun", guard.Move{By: by, Since: since})
			}
			return nil
		}},
		{Name: "intake", Ask: func(context.Context) error {
			if n, limit := s.loop.Backlog(), int64(s.cfg.Intake.MaxBacklog); n >= limit {
				return fmt.Errorf("%d deliveries wait, the limit is %d", n, limit)
			}
			return nil
		}},
		{Name: "rules", Ask: func(context.Context) error {
			for _, r := range s.rules.Status() {
				if r.Error != "" {
					return fmt.Errorf("rule %s of group %s: %s", r.Name, r.Group, r.Error)
				}
			}
			return nil
		}},
	} {
		if err := s.health.Add(c); err != nil {
			return err
		}
	}
	return nil
}
