package loop

import (
	"context"
	"fmt"
	"slices"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/learn"
	"github.com/homeostat/homeostat/internal/store"
)

// diagnose finds where a case comes from.
func (l *Loop) diagnose(ctx context.Context, inc store.Stored[heal.Incident]) error {
	if len(incident.Holding(inc.Value)) == 0 {
		return l.closeCleared(ctx, inc)
	}
	began := l.now()
	diagnosis, err := l.rank(ctx, &inc.Value)
	if err != nil {
		return err
	}
	l.opts.Counters.diagnosed(ctx, l.now().Sub(began), &diagnosis)
	return l.put(ctx, inc, func(d *draft) error {
		if err := suspect(d.tx, &d.Incident, &diagnosis); err != nil {
			return err
		}
		top := diagnosis.Top()
		d.Diagnosis = &diagnosis
		d.State, d.DueAt = heal.CaseDeciding, d.now
		if top == nil {
			d.Cause = ""
			d.say("analyse", "no cause was found", diagnosis.Reasons...)
			return nil
		}
		d.Cause = top.Entity
		d.say("analyse", causeText(&diagnosis), slices.Concat(top.For, diagnosis.Reasons)...)
		return nil
	})
}

func causeText(d *heal.Diagnosis) string {
	top := d.Top()
	text := fmt.Sprintf("cause: %s on %s (score %.2f, confidence %.2f)", top.Pattern, top.Entity, top.Score, d.Confidence)
	if n := len(d.Causes) - 1; n > 0 {
		text += fmt.Sprintf(", ahead of %s on %s (%.2f)", d.Causes[1].Pattern, d.Causes[1].Entity, d.Causes[1].Score)
	}
	if d.Impact.Summary != "" {
		text += "; " + d.Impact.Summary
	}
	return text
}

// rank gathers the evidence and ranks the causes.
func (l *Loop) rank(ctx context.Context, inc *heal.Incident) (heal.Diagnosis, error) {
	known, err := l.knownPatterns(ctx)
	if err != nil {
		return heal.Diagnosis{}, err
	}
	graph := l.parts.Topology.Snapshot()
	in := cause.Input{Incident: *inc, Graph: graph, Known: known, Now: l.now()}
	in.Signals = l.gather(ctx, inc, cause.Walk(*inc, graph, in.Limits))
	return cause.Rank(in), nil
}

// knownPatterns sums what is known of all plans against each pattern: the best
// of them is how sure a diagnosis of it makes us.
func (l *Loop) knownPatterns(ctx context.Context) (map[heal.Pattern]cause.Known, error) {
	known := map[heal.Pattern]cause.Known{}
	err := l.parts.Store.View(ctx, func(r store.Reader) error {
		rows, err := KnowledgeKind.All(r, store.Query{})
		for _, row := range rows {
			k := row.Value
			if was := known[k.Pattern]; k.Uses >= learn.EnoughUses && k.Rate() > was.Rate {
				known[k.Pattern] = cause.Known{Uses: k.Uses, Rate: k.Rate()}
			}
		}
		return err
	})
	return known, err
}
