package guard

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/lease"
	"github.com/homeostat/homeostat/internal/store"
)

// Room is something a bounded number of runs has at once: the room of all
// tenants, or what one tenant may take. Each place in it is a lease, so that
// places are given back with everything else a run holds.
type Room struct {
	Name  string `json:"name"`
	Limit int    `json:"limit"` // places this request may take
}

// rooms are what a request must find a place in.
func rooms(req *Request, l *Limits) []Room {
	var list []Room
	q := l.quota(req.Scope.Tenant)
	if q.Together > 0 {
		list = append(list, Room{Name: "tenant " + req.Scope.Tenant, Limit: q.Together})
	}
	if l.Room > 0 {
		list = append(list, Room{Name: "all tenants", Limit: q.Priority.share(l.Room)})
	}
	return list
}

// place looks for a place in a room, beginning anywhere so that many runs do
// not look at the same one; nil if every place is taken.
func (m Room) place(r store.Reader, run heal.RunID, now time.Time) (*lease.Lease, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(run)) // a hash takes everything
	first := int(h.Sum32() % uint32(m.Limit))
	for i := range m.Limit {
		l, err := lease.Look(r, fmt.Sprintf("room:%s/%d", m.Name, (first+i)%m.Limit))
		if err != nil {
			return nil, err
		}
		if !l.Held(now) || l.Holder == string(run) {
			return &l, nil
		}
	}
	return nil, nil
}

func quota(q *question) Verdict {
	if !budgeted(&q.Request, &q.History) {
		return Verdict{}
	}
	mine := q.base.quota(q.Scope.Tenant)
	if runs := q.tenantRuns(&mine); mine.Actions > 0 && len(runs) >= mine.Actions {
		free := runs[mine.Actions-1].At.Add(mine.Window)
		return refuse(RuleQuota, free, map[string]any{"tenant": mine.Tenant, "actions": len(runs), "limit": mine.Actions},
			"tenant %s has had %d runs within %s, its quota is %d; the next may be at %s", mine.Tenant, len(runs), mine.Window, mine.Actions, clock(free))
	}
	if len(q.Full) > 0 {
		m := q.Full[0]
		return refuse(RuleQuota, q.now.Add(q.base.Recheck), map[string]any{"room": m.Name, "limit": m.Limit, "priority": mine.Priority},
			"%d runs of %s touch something already, which is all that priority %s may take", m.Limit, m.Name, orNormal(mine.Priority))
	}
	return Verdict{}
}

// tenantRuns are the other runs of the tenant within the window of its quota,
// newest first, each once.
func (q *question) tenantRuns(mine *Quota) []Act {
	var runs []Act
	seen := map[heal.RunID]bool{q.Run: true}
	for _, a := range q.Tenant {
		if seen[a.Run] || !a.At.After(q.now.Add(-mine.Window)) {
			continue
		}
		seen[a.Run] = true
		runs = append(runs, a)
	}
	return runs
}

func quotaClear(q *question) string {
	mine := q.base.quota(q.Scope.Tenant)
	parts := []string{fmt.Sprintf("tenant %s has priority %s", mine.Tenant, orNormal(mine.Priority))}
	if mine.Actions > 0 {
		parts = append(parts, fmt.Sprintf("it has had %s within %s, its quota is %d", count(len(q.tenantRuns(&mine)), "run"), mine.Window, mine.Actions))
	}
	for _, m := range rooms(&q.Request, &q.base) {
		parts = append(parts, fmt.Sprintf("it may take %d places of %s", m.Limit, m.Name))
	}
	if len(parts) == 1 {
		return parts[0] + " and no quota"
	}
	return strings.Join(parts, "; ")
}

func orNormal(p Priority) Priority {
	if p == "" {
		return PriorityNormal
	}
	return p
}
