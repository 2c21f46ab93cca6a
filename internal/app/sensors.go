package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/notify"
	"github.com/homeostat/homeostat/internal/probe"
	"github.com/homeostat/homeostat/internal/series"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/topology"
)

// lateListener hears of runs: those of cases are the loop's concern, what the
// others want people to hear goes straight out. It breaks the circle of engine
// and loop: it is filled in before either runs.
type lateListener struct {
	loop   *loop.Loop
	outbox *notify.Outbox // nil: nobody is told
}

func (l *lateListener) RunChanged(tx store.Tx, change engine.Change) error {
	if change.After.IncidentID == "" && l.outbox != nil {
		change.AfterCommit(func() { l.tell(change) })
	}
	return l.loop.RunChanged(tx, change)
}

func (l *lateListener) tell(change engine.Change) {
	for i, n := range change.Notes {
		severity := heal.Info
		if n.Urgent {
			severity = heal.Critical
		}
		l.outbox.Offer(notify.Message{ // a full outbox drops it and counts it
			ID: fmt.Sprintf("%s/%d/%d", change.After.ID, change.At.UnixNano(), i), Phase: notify.Note, Severity: severity,
			Title: change.After.Playbook, Text: n.Text, At: change.At, RunID: change.After.ID, Entity: change.After.Target,
		})
	}
}

// openProbes makes the health monitors; what they find goes through the same
// durable door as every alert.
func (s *Server) openProbes() (err error) {
	intervals := map[string]time.Duration{}
	var configs []probe.Config
	for _, m := range s.cfg.Monitors {
		c := probe.Config{
			Name: m.Name, Entity: heal.EntityID(m.Entity), Interval: m.Interval.Std(), Timeout: m.Timeout.Std(),
			Failures: m.Failures, Successes: m.Successes, Severity: heal.Severity(m.Severity), Labels: m.Labels,
		}
		switch m.Kind {
		case "http":
			c.HTTP = &probe.HTTP{URL: m.Target}
		case "tcp":
			c.TCP = &probe.TCP{Address: m.Target}
		case "process":
			c.Process = &probe.Process{PIDFile: m.Target}
		}
		intervals[m.Name] = c.Interval
		configs = append(configs, c)
	}
	s.probes, err = probe.New(probe.Options{
		Monitors: configs, Logger: s.log, Resend: s.cfg.Rules.Resend.Std(),
		While: func(ctx context.Context, monitor string, probing func(context.Context) error) error {
			return s.share.While(ctx, dutyOfMonitor(monitor), probing)
		},
		Sink: func(ctx context.Context, t probe.Transition) error {
			a := transitionAlert(t, s.cfg.HomeScope(), intervals[t.State.Name])
			if t.From == probe.Unknown && t.State.Status == probe.Up {
				if known, err := s.fires(ctx, a.Fingerprint); err != nil || !known {
					return err // healthy since the start, and nobody thinks otherwise
				}
			}
			return s.loop.Accept(ctx, "monitor", []heal.Alert{a})
		},
	})
	return heal.Wrap("monitors", err)
}

// fires reports whether an alert is known that has not resolved, as one from
// before a restart may be.
func (s *Server) fires(ctx context.Context, fingerprint string) (known bool, err error) {
	err = s.store.View(ctx, func(r store.Reader) error {
		n, err := r.Count(store.Alerts,
			store.Cond{Column: "fingerprint", Op: store.Eq, Value: fingerprint}, store.Cond{Column: "status", Op: store.Ne, Value: string(heal.Resolved)})
		known = n > 0
		return err
	})
	return known, err
}

// openSensors makes what watches by itself: monitors and rules.
func (s *Server) openSensors(context.Context) error {
	s.add("monitors", s.probes.Run)
	if s.watch != nil {
		s.add("watch", func(ctx context.Context) error { return s.share.While(ctx, dutyWatch, s.watch.Run) })
	}
	files, err := s.ruleFiles()
	if err != nil {
		return err
	}
	opts := series.RulesOptions{
		Interval: s.cfg.Rules.Interval.Std(), ResendDelay: s.cfg.Rules.Resend.Std(), Everywhere: s.cfg.Store.Shared, Logger: slog.New(quiet{s.log.Handler()}),
	}
	for _, file := range files {
		r := series.NewRules(s.series, opts, s.takeRuleAlerts)
		if err := r.Load(file); err != nil {
			return heal.Wrap("rules", err)
		}
		s.rules = append(s.rules, r)
		s.add("rules of "+file.Name, func(ctx context.Context) error { return s.share.While(ctx, dutyOfRules(file.Name), r.Run) })
	}
	if !s.cfg.Store.Shared { // else no spans come in here that would say anything of it
		s.add("topology", s.keepTopology)
	}
	s.add("housekeeping", func(ctx context.Context) error { return s.share.While(ctx, dutyHouse, s.keepHouse) })
	return nil
}

func (s *Server) takeRuleAlerts(ctx context.Context, found []series.RuleAlert) error {
	alerts := make([]heal.Alert, len(found))
	for i, a := range found {
		alerts[i] = ruleAlert(a, s.cfg.HomeScope())
	}
	return s.loop.Accept(ctx, "rules", alerts)
}

// rules are the rule files, each evaluated by itself so that servers can divide
// them.
type rules []*series.Rules

// Status gives the state of every rule that is evaluated here.
func (all rules) Status() (list []series.RuleStatus) {
	for _, r := range all {
		list = append(list, r.Status()...)
	}
	return list
}

// DeliveryStats gives the counts so far.
func (all rules) DeliveryStats() (sum series.DeliveryStats) {
	for _, r := range all {
		one := r.DeliveryStats()
		sum.Delivered += one.Delivered
		sum.Failed += one.Failed
	}
	return sum
}

func (s *Server) ruleFiles() ([]series.RuleFile, error) {
	var files []series.RuleFile
	if s.cfg.Rules.Shipped {
		files = append(files, series.DefaultRules())
	}
	for _, path := range s.cfg.Rules.Files {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, heal.Errorf(heal.Invalid, "rules.files", "%w", err)
		}
		files = append(files, series.RuleFile{Name: path, Data: data})
	}
	return files, nil
}

// graphKind stores the topology, so that a restart does not begin blind.
var graphKind = store.Kind[topology.State]{
	Table: store.Topologies, Version: 1,
	Key: func(*topology.State) string { return "graph" },
	Columns: func(*topology.State) []any {
		return []any{int64(0)}
	},
}

// topologyEvery is how often the topology is kept.
const topologyEvery = 30 * time.Second

func (s *Server) recallTopology() error {
	return s.store.View(context.Background(), func(r store.Reader) error {
		kept, err := graphKind.Get(r, "graph")
		if heal.Is(err, heal.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		s.topology.Load(kept.Value)
		s.topology.Prune(time.Now(), edgeAge)
		return nil
	})
}

func (s *Server) keepTopology(ctx context.Context) error {
	ticker := time.NewTicker(topologyEvery)
	defer ticker.Stop()
	save := func(ctx context.Context) {
		state := s.topology.Snapshot().State()
		err := s.store.Update(ctx, func(tx store.Tx) error {
			_, err := graphKind.Put(tx, &state, store.Any)
			return err
		})
		if err != nil && ctx.Err() == nil {
			s.log.Warn("keep the topology", slog.Any("error", err))
		}
	}
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			save(last)
			return nil
		case <-ticker.C:
			save(ctx)
		}
	}
}
