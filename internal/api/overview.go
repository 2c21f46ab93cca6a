package api

import (
	"context"
	"net/http"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/learn"
	"github.com/homeostat/homeostat/internal/store"
)

type trendCall struct {
	Days  int       `query:"days" minimum:"1" maximum:"90" default:"14"`
	Until time.Time `query:"until" doc:"End of the last day, which begins 24 hours before. Default: now."`
}

// openStates and severities are what open cases are counted by, the worst and
// the most urgent first.
var (
	openStates = []heal.CaseState{heal.CaseEscalated, heal.CaseWaiting, heal.CaseActing, heal.CaseVerifying, heal.CaseDeciding, heal.CaseDiagnosing, heal.CaseOpen}
	severities = []heal.Severity{heal.Critical, heal.Warning, heal.Info}
)

func (s *server) overview() {
	handle(s, route{
		method: http.MethodGet, path: "/me", id: "get-me", tag: "principals",
		summary: "Who I am and what I may do",
	}, func(ctx context.Context, _ *struct{}) (*body[form.Me], error) {
		p, _ := auth.From(ctx)
		out := form.Me{Name: p.Name, Grants: []form.Grant{}}
		for _, g := range p.Grants {
			out.Grants = append(out.Grants, form.Grant{Role: string(g.Role), Scope: whereOf(g.Scope)})
		}
		return answer(out), nil
	})
	handle(s, route{
		method: http.MethodGet, path: "/overview", id: "get-overview", tag: "incidents",
		summary: "Open cases by state and severity",
	}, s.counts)
	handle(s, route{
		method: http.MethodGet, path: "/trend", id: "get-trend", tag: "learning", errors: []int{http.StatusUnprocessableEntity},
		summary: "What was healed, day by day", about: "Healed cases by the time their heal was verified, the oldest day first.",
	}, s.trend)
}

// counts counts in the store where the caller sees everything, else by reading
// the open cases.
func (s *server) counts(ctx context.Context, _ *struct{}) (*body[form.Overview], error) {
	may, err := reader(ctx)
	if err != nil {
		return nil, err
	}
	out := form.Overview{Open: []form.OpenCount{}, Complete: true}
	n := map[form.OpenCount]int{}
	if may(heal.Scope{}) {
		err = s.Store.View(ctx, func(r store.Reader) error {
			out.Revision = int64(r.Revision())
			for _, state := range openStates {
				for _, severity := range severities {
					count, err := r.Count(store.Incidents, store.Cond{Column: "state", Op: store.Eq, Value: string(state)},
						store.Cond{Column: "severity", Op: store.Eq, Value: string(severity)})
					if err != nil {
						return err
					}
					n[form.OpenCount{State: string(state), Severity: string(severity)}] = int(count)
				}
			}
			return nil
		})
	} else {
		out.Revision, out.Complete, err = s.walk(ctx, store.Query{Where: filters{{Column: "open", Op: store.Eq, Value: int64(1)}}, Order: "updated", Desc: true}, func(c *heal.Incident) {
			if may(c.Scope) {
				n[form.OpenCount{State: string(c.State), Severity: string(c.Severity)}]++
			}
		})
	}
	if err != nil {
		return nil, err
	}
	for _, state := range openStates {
		for _, severity := range severities {
			line := form.OpenCount{State: string(state), Severity: string(severity)}
			if line.Count = n[line]; line.Count > 0 {
				out.Open, out.Total = append(out.Open, line), out.Total+line.Count
			}
		}
	}
	return answer(out), nil
}

func (s *server) trend(ctx context.Context, in *trendCall) (*body[form.Trend], error) {
	may, err := reader(ctx)
	if err != nil {
		return nil, err
	}
	const day = 24 * time.Hour
	until := in.Until
	if until.IsZero() {
		until = s.Clock()
	}
	from := until.Add(-time.Duration(in.Days) * day)
	days := make([][]heal.Incident, in.Days)
	// What ended in the window was not changed before it.
	_, complete, err := s.walk(ctx, store.Query{
		Where: filters{{Column: "state", Op: store.Eq, Value: string(heal.CaseHealed)}, {Column: "updated", Op: store.Ge, Value: store.Nanos(from)}},
		Order: "updated", Desc: true,
	}, func(c *heal.Incident) {
		if !may(c.Scope) || c.EndedAt.Before(from) || !c.EndedAt.Before(until) {
			return
		}
		k := int(c.EndedAt.Sub(from) / day)
		days[k] = append(days[k], summed(c))
	})
	if err != nil {
		return nil, err
	}
	out := form.Trend{Complete: complete, Days: []form.TrendDay{}}
	for k, cases := range days {
		r := learn.Account(cases)
		out.Days = append(out.Days, form.TrendDay{
			From: from.Add(time.Duration(k) * day).UTC(), Healed: r.Healed, Unattended: r.Unattended, MTTRSeconds: r.MeanHeal.Seconds(), MTTRP90: r.P90Heal.Seconds(),
		})
	}
	return answer(out), nil
}

// walk reads cases page by page, each page in a snapshot of its own, and says
// whether it came to the end before the bound.
func (s *server) walk(ctx context.Context, q store.Query, f func(*heal.Incident)) (revision int64, complete bool, err error) {
	seen := map[heal.IncidentID]bool{}
	for read := 0; read < maxReported; {
		var rows []store.Stored[heal.Incident]
		err := s.Store.View(ctx, func(r store.Reader) (err error) {
			if revision == 0 {
				revision = int64(r.Revision())
			}
			rows, q.Cursor, err = store.IncidentKind.List(r, q)
			return err
		})
		if err != nil {
			return 0, false, err
		}
		read += len(rows)
		for i := range rows {
			if c := &rows[i].Value; !seen[c.ID] {
				seen[c.ID] = true
				f(c)
			}
		}
		if q.Cursor == "" {
			return revision, true, nil
		}
	}
	return revision, false, nil
}
