package guard

import (
	"fmt"
	"strconv"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/lease"
	"github.com/homeostat/homeostat/internal/store"
)

var entryKind = store.Kind[Entry]{
	Table: store.Actions, Version: 1,
	Key: func(e *Entry) string { return fmt.Sprintf("%s/%s%s/%s", e.Event, e.Incident, e.Run, e.Target) },
	Columns: func(e *Entry) []any {
		return []any{string(e.Target), string(e.Incident), string(e.Run), store.Nanos(e.At)}
	},
}

// Refusal is a guard's no, kept for people.
type Refusal struct {
	Run    heal.RunID    `json:"run"`
	Task   string        `json:"task"`
	Target heal.EntityID `json:"target"`
	At     time.Time     `json:"at"`
	Rule   Rule          `json:"rule"`
	Reason heal.Reason   `json:"reason"`
}

var refusalKind = store.Kind[Refusal]{
	Table: store.Refusals, Version: 1,
	Key: func(r *Refusal) string { return fmt.Sprintf("%s/%s/%s", r.Run, r.Task, r.Rule) },
	Columns: func(r *Refusal) []any {
		return []any{string(r.Target), string(r.Run), store.Nanos(r.At)}
	},
}

// resources are what a run must hold to touch its target: the target itself,
// and the service it belongs to, so that a service has one run at a time.
func resources(req Request) []string {
	list := []string{"target:" + string(req.Target)}
	if service := string(heal.ServiceID(req.Scope.Service)); req.Scope.Service != "" && service != string(req.Target) {
		list = append(list, "target:"+service)
	}
	return list
}

// Look judges a request without reserving anything, as a dry run or an
// explanation does.
func Look(r store.Reader, req Request, l Limits, now time.Time) (Verdict, error) {
	h, _, err := history(r, req, l, now)
	if err != nil {
		return Verdict{}, err
	}
	return Judge(req, h, l, now), nil
}

// Grant is what an allowed request holds.
type Grant struct {
	Epoch     int64    // of the lease on the target; 0 for a request that touches nothing
	Resources []string // of the leases
}

// Reserve judges a request and, if it is allowed, spends its budget and takes
// its leases, all in tx. A refusal is recorded, also in tx.
func Reserve(tx store.Tx, req Request, task string, l Limits, now time.Time) (v Verdict, g Grant, err error) {
	h, needs, err := history(tx, req, l, now)
	if err != nil {
		return Verdict{}, Grant{}, err
	}
	v = Judge(req, h, l, now)
	if !v.Allowed() {
		return v, Grant{}, record(tx, req, task, v, now)
	}
	if !req.Touches {
		return v, Grant{}, nil
	}
	for i, need := range needs {
		got, err := need.Acquire(tx, string(req.Run), 0, now)
		if err != nil {
			return Verdict{}, Grant{}, err
		}
		if i == 0 {
			g.Epoch = got.Epoch
		}
		g.Resources = append(g.Resources, got.Resource)
	}
	if h.Spent {
		return v, g, nil // a later touch of the same run
	}
	if budgeted(&req, &h) {
		if err := takeDown(tx, &req, &l, now); err != nil {
			return Verdict{}, Grant{}, err
		}
	}
	began := Entry{Event: Began, Run: req.Run, Incident: req.Incident, Target: req.Target, Scope: req.Scope, At: now}
	_, err = entryKind.Put(tx, &began, store.Absent)
	return v, g, err
}

// record keeps a refusal for people.
func record(tx store.Tx, req Request, task string, v Verdict, now time.Time) error {
	_, err := refusalKind.Put(tx, &Refusal{Run: req.Run, Task: task, Target: printable(req.Target), At: now, Rule: v.Rule, Reason: v.Reason}, store.Any)
	return err
}

// printable is a target as a record can hold it, also one that is refused for
// what it is.
func printable(target heal.EntityID) heal.EntityID {
	if target.Validate() == nil {
		return target
	}
	return heal.EntityID(strconv.Quote(string(target[:min(len(target), 64)])))
}

// Held lists the resources a run holds.
func Held(r store.Reader, run heal.RunID) ([]string, error) {
	held, err := lease.HeldBy(r, string(run))
	resources := make([]string, len(held))
	for i := range held {
		resources[i] = held[i].Resource
	}
	return resources, err
}

// Release gives back what a run holds, at its end.
func Release(tx store.Tx, run heal.RunID) error { return lease.ReleaseAll(tx, string(run)) }

// ReleaseThese gives back what a run holds if these are all resources it was
// granted.
func ReleaseThese(tx store.Tx, run heal.RunID, resources []string) error {
	for _, r := range resources {
		if err := lease.Release(tx, r, string(run)); err != nil {
			return err
		}
	}
	return nil
}

// EndCase starts the cooldown of a target.
func EndCase(tx store.Tx, incident heal.IncidentID, target heal.EntityID, scope heal.Scope, now time.Time) error {
	_, err := entryKind.Put(tx, &Entry{Event: CaseEnded, Incident: incident, Target: target, Scope: scope, At: now}, store.Any)
	return err
}

// Refusals lists what was refused for a run, oldest first.
func Refusals(r store.Reader, run heal.RunID) ([]Refusal, error) {
	rows, err := refusalKind.All(r, store.Query{Where: []store.Cond{{Column: "run", Op: store.Eq, Value: string(run)}}})
	list := make([]Refusal, len(rows))
	for i := range rows {
		list[i] = rows[i].Value
	}
	return list, err
}

// history gathers what a verdict looks at, and the leases the request needs,
// that of its target first.
func history(r store.Reader, req Request, l Limits, now time.Time) (h History, needs []lease.Lease, err error) {
	if !req.Touches || req.Target.Validate() != nil { // refused by what it is
		return h, nil, nil
	}
	if l.Clock != nil {
		h.Moved.By, h.Moved.Since = l.Clock.Moved()
	}
	if err := foresee(r, &req, &l, now); err != nil {
		return h, nil, err
	}
	all, err := allSwitches(r)
	if err != nil {
		return h, nil, err
	}
	h.Switches, h.Breakers = reaching(all, kindKill, req.Scope), reaching(all, kindBreaker, req.Scope)
	if h.Spent, err = spent(r, req); err != nil {
		return h, nil, err
	}
	if needs, err = leasesOf(r, resources(req), &req, &h, now); err != nil {
		return h, nil, err
	}
	if req.Impact == action.Destructive && !req.Undo && !approved(&req) {
		if h.Heals, err = heals(r, req.Playbook, l.For(req.Scope).Proven); err != nil {
			return h, nil, err
		}
	}
	if !budgeted(&req, &h) {
		return h, needs, nil
	}
	more, err := budgets(r, &req, &l, &h, now)
	return h, append(needs, more...), err
}

// foresee asks a store that is far away at once for what the first touch of a
// run looks at. Later ones look at what is known by then.
func foresee(r store.Reader, req *Request, l *Limits, now time.Time) error {
	began := entryKind.Key(&Entry{Event: Began, Run: req.Run, Incident: req.Incident, Target: req.Target})
	far, ok := r.(store.Far)
	if !ok || far.Knows(store.Actions, began) {
		return nil
	}
	page := func(q store.Query) store.Read { q.Table = store.Actions; return store.Read{Page: &q} }
	reads := []store.Read{
		{Table: store.Actions, Key: began},
		{Page: &store.Query{Table: store.Switches}},
		page(ofTarget(req, l.For(req.Scope).Cooldown, now)),
	}
	for _, resource := range resources(*req) {
		reads = append(reads, store.Read{Table: store.Leases, Key: resource})
	}
	if req.Incident != "" {
		reads = append(reads, page(ofCase(req)))
	}
	return far.Ahead(reads...)
}

// budgets gathers what the first touch of a run spends, and the leases it needs
// for it.
func budgets(r store.Reader, req *Request, l *Limits, h *History, now time.Time) (needs []lease.Lease, err error) {
	if h.Target, h.Case, err = spending(r, *req, l.For(req.Scope), now); err != nil {
		return nil, err
	}
	if automated(req, h) {
		if h.Scopes, err = scopesOf(r, req, l, now); err != nil {
			return nil, err
		}
		if needs, err = leasesOf(r, turns(h.Scopes, l), req, h, now); err != nil {
			return nil, err
		}
	}
	if q := l.quota(req.Scope.Tenant); q.Actions > 0 {
		if h.Tenant, err = acted(r, touched, heal.Scope{Tenant: q.Tenant}, now.Add(-q.Window), q.Actions+1); err != nil {
			return nil, err
		}
	}
	for _, room := range rooms(req, l) {
		place, err := room.place(r, req.Run, now)
		if err != nil {
			return nil, err
		}
		if place == nil {
			h.Full = append(h.Full, room)
			continue
		}
		needs = append(needs, *place)
	}
	return needs, nil
}

// leasesOf looks at leases a request needs, and notes those others hold.
func leasesOf(r store.Reader, resources []string, req *Request, h *History, now time.Time) (needs []lease.Lease, err error) {
	for _, resource := range resources {
		held, err := lease.Look(r, resource)
		if err != nil {
			return nil, err
		}
		needs = append(needs, held)
		if held.Held(now) && held.Holder != string(req.Run) {
			h.Held = append(h.Held, Holding{Resource: resource, Run: heal.RunID(held.Holder), Since: held.Since})
		}
	}
	return needs, nil
}

// turns are the leases of small scopes, where automation does one thing at a
// time. A service has that of its target.
func turns(scopes []ScopeFacts, l *Limits) []string {
	var list []string
	for i := range scopes {
		f := &scopes[i]
		if own := l.For(f.Scope); f.Scope.Service == "" && f.small(&own) {
			list = append(list, "scope:"+f.Scope.String())
		}
	}
	return list
}

// spent reports whether the run has touched this target before.
func spent(r store.Reader, req Request) (bool, error) {
	if req.Run == "" {
		return false, nil
	}
	began := Entry{Event: Began, Run: req.Run, Incident: req.Incident, Target: req.Target}
	_, err := entryKind.Get(r, entryKind.Key(&began))
	if heal.Is(err, heal.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// spending reads what happened on the target within the cooldown and all that
// was done for the case.
func spending(r store.Reader, req Request, l Limits, now time.Time) (target, theirs []Entry, err error) {
	target, err = entries(r, ofTarget(&req, l.Cooldown, now))
	if err != nil || req.Incident == "" {
		return target, nil, err
	}
	theirs, err = entries(r, ofCase(&req))
	return target, theirs, err
}

func ofTarget(req *Request, cooldown time.Duration, now time.Time) store.Query {
	return newest(store.Cond{Column: "target", Op: store.Eq, Value: string(req.Target)}, store.Nanos(now.Add(-cooldown)))
}

func ofCase(req *Request) store.Query {
	return newest(store.Cond{Column: "incident", Op: store.Eq, Value: string(req.Incident)}, 0)
}

// newest asks for history that meets the condition since a time, newest first,
// at most one page: the rules look at the newest few.
func newest(where store.Cond, since int64) store.Query {
	return store.Query{Where: []store.Cond{where, {Column: "at", Op: store.Ge, Value: since}}, Order: "at", Desc: true, Limit: 50}
}

func entries(r store.Reader, q store.Query) ([]Entry, error) {
	rows, _, err := entryKind.List(r, q)
	list := make([]Entry, len(rows))
	for i := range rows {
		list[i] = rows[i].Value
	}
	return list, err
}
