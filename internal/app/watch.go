package app

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/series"
	"github.com/homeostat/homeostat/internal/watch"
)

// openWatch makes what watches series without a rule; what it finds goes
// through the same durable door as every alert.
func (s *Server) openWatch() {
	c := s.cfg.Watch
	if !c.Enabled {
		return
	}
	s.watch = watch.New(vectors{s.series}, s.takeFindings, watch.Options{
		Interval: c.Interval.Std(), Window: 4 * max(c.Interval.Std(), s.cfg.Metrics.FlushInterval.Std()), Labels: c.Labels, MaxSeries: c.MaxSeries,
		Resend: s.cfg.Rules.Resend.Std(), Dir: s.watchDir(), Clock: time.Now, Logger: s.log,
	})
}

// watchDir is where what is known of series and of versions is kept.
func (s *Server) watchDir() string { return filepath.Join(s.cfg.DataDir, "watch") }

// takeFindings hands findings on as alerts. One that is over and was never told
// is nobody's concern.
func (s *Server) takeFindings(ctx context.Context, findings []watch.Finding) error {
	var alerts []heal.Alert
	for i := range findings {
		f := &findings[i]
		a := f.Alert(s.cfg.HomeScope())
		if f.Over {
			if known, err := s.fires(ctx, a.Fingerprint); err != nil || !known {
				if err != nil {
					return err
				}
				continue
			}
		}
		alerts = append(alerts, a)
	}
	return s.loop.Accept(ctx, "watch", alerts)
}

// vectors answers the watch from the metric stores.
type vectors struct{ db *series.DB }

func (v vectors) Vector(ctx context.Context, expr string, at time.Time) ([]heal.Sample, error) {
	found, err := v.db.Instant(ctx, expr, at)
	if err != nil {
		return nil, err
	}
	out := make([]heal.Sample, 0, len(found))
	for _, s := range found {
		if len(s.Points) == 0 {
			continue
		}
		out = append(out, heal.Sample{Metric: s.Labels["__name__"], Labels: labelList(s.Labels), At: s.Points[0].At, Value: s.Points[0].Value})
	}
	return out, nil
}

// labelList gives labels but for the name of the metric, sorted.
func labelList(labels map[string]string) []heal.Label {
	out := make([]heal.Label, 0, len(labels))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if name != "__name__" {
			out = append(out, heal.Label{Name: name, Value: labels[name]})
		}
	}
	return out
}

// watched answers the loop from the watch.
type watched struct{ watcher *watch.Watcher } // nil: it is off

func (w watched) Anomalies(entity heal.EntityID, since time.Time) []cause.Anomaly {
	if w.watcher == nil {
		return nil
	}
	var out []cause.Anomaly
	for _, a := range w.watcher.Anomalies(entity, since) {
		c := cause.Anomaly{Name: a.Signal, Expr: a.Expr, Unit: a.Unit, Since: a.Since, At: a.Last, Value: a.Value, Usual: a.Usual, Surprise: a.Surprise}
		if a.Part != "" {
			c.Name += "{" + a.Part + "}"
		}
		for _, r := range a.Said {
			c.Said = append(c.Said, r.Text)
		}
		out = append(out, c)
	}
	return out
}

// watchMetrics are of what is watched without a rule.
func watchMetrics() []observed {
	of := func(name, unit, about string, total bool, read func(*watch.Stats) float64) observed {
		return observed{name, unit, about, total, func(r *reading, to put) {
			if r.watch != nil {
				to(read(r.watch))
			}
		}}
	}
	return []observed{
		of("homeostat.watch.series", "{series}", "Series watched without a rule. Absent if that is off, as all of the watch.", false, func(s *watch.Stats) float64 { return float64(s.Series) }),
		of("homeostat.watch.findings", "{finding}", "Services that suffer now, by what the watch knows.", false, func(s *watch.Stats) float64 { return float64(s.Standing) }),
		of("homeostat.watch.points", "{point}", "Points of watched series that were judged.", true, func(s *watch.Stats) float64 { return float64(s.Points) }),
		of("homeostat.watch.points.dropped", "{point}", "Points of series for which watch.max_series left no place.", true, func(s *watch.Stats) float64 { return float64(s.Dropped) }),
		of("homeostat.watch.anomalies", "{anomaly}", "Times a watched series went out of the ordinary.", true, func(s *watch.Stats) float64 { return float64(s.Anomalies) }),
		of("homeostat.watch.questions.failed", "{question}", "Questions for watched series that got no answer.", true, func(s *watch.Stats) float64 { return float64(s.Failed) }),
		of("homeostat.watch.looks.skipped", "{look}", "Looks left out because the one before took too long.", true, func(s *watch.Stats) float64 { return float64(s.Skipped) }),
		of("homeostat.watch.deliveries.refused", "{delivery}", "Times the intake refused findings; they are told again.", true, func(s *watch.Stats) float64 { return float64(s.Refused) }),
	}
}
