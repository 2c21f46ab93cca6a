package loop

import (
	"context"
	"log/slog"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/store"
)

// What began when is not stored a second time: it is in the cases. A server reads
// those of the time that counts when it starts, and learns of every other one as
// its index does, from whichever server it comes.

// onsetCases bounds the cases read at the start, the newest; onsetPage is how many
// are read at once.
const (
	onsetCases = 5000
	onsetPage  = 50
)

// pastCase is of a case what onsets are learnt from.
type pastCase struct {
	Members []struct {
		Fault pastFault `json:"fault"`
	} `json:"members"`
}

// pastFault is a fault without most of it, which nobody learns from.
type pastFault struct {
	heal.Fault
	Evidence  unread `json:"evidence"`
	Values    unread `json:"values"`
	Condition unread `json:"condition"`
}

// unread is left where it is.
type unread struct{}

// UnmarshalJSON takes anything.
func (*unread) UnmarshalJSON([]byte) error { return nil }

var pastCaseKind = store.Kind[pastCase]{Table: store.Incidents, Version: store.IncidentKind.Version, Upgrade: store.IncidentKind.Upgrade}

// recallOnsets learns from the cases of the time that counts. Meanwhile the stages
// work; until it is through, less is known.
func (l *Loop) recallOnsets(ctx context.Context) {
	if l.onsets == nil {
		return
	}
	since := store.Cond{Column: "updated", Op: store.Ge, Value: store.Nanos(l.now().Add(-l.opts.Together))}
	q := store.Query{Where: []store.Cond{since}, Order: "updated", Desc: true, Limit: onsetPage}
	for read := 0; read < onsetCases && ctx.Err() == nil; {
		var page []store.Stored[pastCase]
		var next string
		err := l.parts.Store.View(ctx, func(r store.Reader) (err error) {
			page, next, err = pastCaseKind.List(r, q)
			return err
		})
		if err != nil {
			if ctx.Err() == nil {
				l.opts.Logger.Error("recall what began together, will try again", slog.Any("error", err))
			}
			pause(ctx, restAfterError)
			continue
		}
		l.learnOnsets(ctx, page)
		if read, q.Cursor = read+len(page), next; next == "" {
			return
		}
	}
}

func (l *Loop) learnOnsets(ctx context.Context, cases []store.Stored[pastCase]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range cases {
		for k := range cases[i].Value.Members {
			l.onsets.Note(&cases[i].Value.Members[k].Fault.Fault)
		}
	}
	l.countForgotten(ctx)
}

// countForgotten counts the kinds of alert that gave way since it was counted
// last. The caller holds mu.
func (l *Loop) countForgotten(ctx context.Context) {
	if l.onsets == nil {
		return
	}
	gone := l.onsets.Dropped()
	l.opts.Counters.gaveWay(ctx, gone-l.forgotten)
	l.forgotten = gone
}

// newIndex is an empty index of open cases, which teaches what it is told.
func (l *Loop) newIndex() index { return newIndex(l.opts.Window, l.onsets) }

// newOnsets remembers nothing yet; nil if nothing is to be remembered.
func newOnsets(o *Options) *incident.Onsets {
	if o.Together < 0 {
		return nil
	}
	return incident.NewOnsets(incident.OnsetOptions{Window: o.Window, Keep: o.Together})
}
