package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/learn"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/topology"
)

type reportCall struct {
	From  time.Time `query:"from" doc:"Cases detected from then on. Default: seven days before until."`
	Until time.Time `query:"until" doc:"Default: now."`
}

type servicesCall struct {
	Traffic string `query:"traffic" enum:"true,false" doc:"false: without the traffic, which takes longest to find."`
}

// maxReported bounds the cases one report reads.
const maxReported = 20_000

func (s *server) system() {
	handle(s, route{
		method: http.MethodGet, path: "/services", id: "get-services", tag: "topology",
		summary: "Who depends on whom", about: "Everything that can be healthy or not, with its traffic where that is known.",
	}, s.services)
	handle(s, route{
		method: http.MethodGet, path: "/knowledge", id: "list-knowledge", tag: "learning", summary: "Which plan heals which cause, and how often",
	}, s.knowledge)
	handle(s, route{
		method: http.MethodGet, path: "/report", id: "get-report", tag: "learning", errors: []int{http.StatusUnprocessableEntity},
		summary: "The return on having Homeostat, over the cases of a window",
	}, s.report)
	handle(s, route{
		method: http.MethodGet, path: "/version", id: "get-version", tag: "system", summary: "What is running",
	}, func(context.Context, *struct{}) (*body[form.Version], error) { return answer(s.Version), nil })
}

func (s *server) services(ctx context.Context, in *servicesCall) (*body[form.Services], error) {
	may, err := reader(ctx)
	if err != nil {
		return nil, err
	}
	var red map[heal.EntityID]form.RED
	if s.Traffic != nil && in.Traffic != "false" {
		if red, err = s.Traffic.RED(ctx); err != nil {
			return nil, err
		}
	}
	graph := s.Topology.Snapshot()
	out := form.Services{Entities: []form.Entity{}, Edges: []form.Edge{}}
	seen := map[heal.EntityID]bool{}
	for _, n := range graph.Nodes() {
		if !may(n.Entity.Scope) {
			continue
		}
		seen[n.Entity.ID] = true
		e := ofNode(n)
		if r, ok := red[n.Entity.ID]; ok {
			e.RED = &r
		}
		out.Entities = append(out.Entities, e)
	}
	for _, e := range graph.Edges() {
		if seen[e.From] && seen[e.To] {
			out.Edges = append(out.Edges, ofEdge(e))
		}
	}
	return answer(out), nil
}

func ofNode(n topology.Node) form.Entity {
	id := n.Entity.ID
	out := form.Entity{
		ID: string(id), Kind: string(id.Kind()), Name: id.Name(), Scope: n.Entity.Scope.String(), Attributes: n.Entity.Attributes, Sources: []string{},
	}
	for _, a := range n.Sources {
		out.Sources = append(out.Sources, a.Source)
		if a.LastSeen.After(out.LastSeen) {
			out.LastSeen = a.LastSeen.UTC()
		}
	}
	return out
}

func ofEdge(e topology.Edge) form.Edge {
	calls, errors := e.Traffic()
	out := form.Edge{From: string(e.From), To: string(e.To), Sources: []string{}, Calls: calls, Errors: errors, LastSeen: e.LastSeen().UTC()}
	for _, s := range e.Sources {
		out.Sources = append(out.Sources, s.Source)
	}
	return out
}

func (s *server) knowledge(ctx context.Context, _ *struct{}) (*body[form.KnowledgeList], error) {
	if _, err := reader(ctx); err != nil {
		return nil, err
	}
	known, err := s.Knowledge.Knowledge(ctx)
	if err != nil {
		return nil, err
	}
	out := form.KnowledgeList{Items: []form.Knowledge{}}
	for _, k := range known {
		out.Items = append(out.Items, form.Knowledge{
			Pattern: string(k.Pattern), Playbook: k.Playbook, Uses: k.Uses, Successes: k.Successes, Partial: k.Partial,
			SuccessRate: k.Rate(), Trusted: k.Trusted(), MeanSeconds: k.MeanTime().Seconds(), LastUsed: k.LastUsed.UTC(),
		})
	}
	slices.SortFunc(out.Items, func(a, b form.Knowledge) int {
		return cmp.Or(cmp.Compare(a.Pattern, b.Pattern), cmp.Compare(a.Playbook, b.Playbook))
	})
	return answer(out), nil
}

func (s *server) report(ctx context.Context, in *reportCall) (*body[form.Report], error) {
	may, err := reader(ctx)
	if err != nil {
		return nil, err
	}
	until := in.Until
	if until.IsZero() {
		until = s.Clock()
	}
	from := in.From
	if from.IsZero() {
		from = until.Add(-7 * 24 * time.Hour)
	}
	if !from.Before(until) {
		return nil, heal.Errorf(heal.Invalid, "", "from is %s, expected before until, %s", from.Format(time.RFC3339), until.Format(time.RFC3339))
	}
	cases, complete, err := s.casesOf(ctx, from, until, may)
	if err != nil {
		return nil, err
	}
	r := learn.Account(cases)
	return answer(form.Report{
		From: from.UTC(), Until: until.UTC(), Complete: complete, Cases: r.Cases, Open: r.Open, Healed: r.Healed, Unattended: r.Unattended,
		Escalated: r.Escalated, Closed: r.Closed, Signals: r.Signals, MTTDSeconds: r.MeanDetect.Seconds(), MTTRSeconds: r.MeanHeal.Seconds(),
		MTTRP90: r.P90Heal.Seconds(), UnattendedShare: r.Share, NoiseShare: r.Noise,
	}), nil
}

// casesOf reads the cases detected in a window, the ones changed last first.
func (s *server) casesOf(ctx context.Context, from, until time.Time, may func(heal.Scope) bool) (cases []heal.Incident, complete bool, err error) {
	// What was detected in the window was not changed before it.
	q := store.Query{Where: filters{{Column: "updated", Op: store.Ge, Value: store.Nanos(from)}}, Order: "updated", Desc: true}
	_, complete, err = s.walk(ctx, q, func(c *heal.Incident) {
		if may(c.Scope) && !c.DetectedAt.Before(from) && c.DetectedAt.Before(until) {
			cases = append(cases, summed(c))
		}
	})
	return cases, complete, err
}

// summed keeps of a case what an account needs.
func summed(c *heal.Incident) heal.Incident {
	return heal.Incident{
		ID: c.ID, State: c.State, Members: c.Members, Decision: c.Decision, Attempts: c.Attempts,
		BeganAt: c.BeganAt, DetectedAt: c.DetectedAt, ActedAt: c.ActedAt, EndedAt: c.EndedAt,
	}
}
