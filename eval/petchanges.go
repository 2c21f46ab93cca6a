package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/topology"
)

// petDeploys are how long before the beginning something is deployed in
// petshop-changes; less than zero: after it.
const (
	petBefore = 5 * time.Minute
	petAfter  = -time.Minute
)

// petBystanders is how many of the entities that are not the truth are deployed,
// one at a time, for each issue.
const petBystanders = 10

// runPetChanges asks PetShop's questions again with deploys, which the set has
// none of: of what is not the truth, they must not lead astray; of the truth, they
// should help where little else does.
func runPetChanges(ctx context.Context, dir string) (result, error) {
	dir, err := folder(dir, "petshop")
	if err != nil {
		return result{}, err
	}
	var other, after, plain, thin, thinTruth, thinOther hits
	same, asked, quiet, splits := 0, 0, 0, 0
	for _, name := range petScenarios {
		s, err := readPetScenario(dir, name)
		if err != nil {
			return result{}, err
		}
		for _, issue := range s.issues {
			if err := ctx.Err(); err != nil {
				return result{}, err
			}
			in := petInput(s.graph, issue.target, issue.began, s.normal, issue.table)
			before := cause.Rank(in)
			plain.add(petPlace(before, issue.truth))
			for _, id := range bystanders(in, heal.ServiceID(issue.truth)) {
				other.add(petPlace(cause.Rank(deployed(in, id, petBefore)), issue.truth))
				late := cause.Rank(deployed(in, id, petAfter))
				after.add(petPlace(late, issue.truth))
				if asked++; sameCauses(before, late) {
					same++
				}
			}
			in.Graph = &topology.Graph{}
			thin.add(petPlace(cause.Rank(in), issue.truth))
			thinTruth.add(petPlace(cause.Rank(deployed(in, heal.ServiceID(issue.truth), petBefore)), issue.truth))
			for _, id := range bystanders(in, heal.ServiceID(issue.truth)) {
				thinOther.add(petPlace(cause.Rank(deployed(in, id, petBefore)), issue.truth))
			}
		}
		q, n := petQuietDeploys(s)
		quiet, splits = quiet+q, splits+n
	}
	var r result
	add := func(name string, h hits) {
		r.add(name, share(h.first, h.asked), 0, fmt.Sprintf("top-1 %d of %d, top-3 %d", h.first, h.asked, h.third))
	}
	add("without deploys", plain)
	add("a deploy of another, 5 min before", other)
	add("a deploy of another, 1 min after", after)
	r.add("the same answer with a deploy after", share(same, asked), 0, fmt.Sprintf("%d of %d: entities, patterns and scores", same, asked))
	add("no call graph", thin)
	add("no call graph, a deploy of the truth", thinTruth)
	add("no call graph, a deploy of another", thinOther)
	r.add("quiet with a deploy of the alerted", share(quiet, splits), 0, fmt.Sprintf("%d of %d splits of the normal time", quiet, splits))
	return r, nil
}

// bystanders are entities with signals that are not the truth, evenly chosen.
func bystanders(in cause.Input, truth heal.EntityID) []heal.EntityID {
	all := slices.DeleteFunc(slices.Sorted(maps.Keys(in.Signals)), func(id heal.EntityID) bool { return id == truth })
	var list []heal.EntityID
	for i := range min(petBystanders, len(all)) {
		list = append(list, all[i*len(all)/petBystanders])
	}
	return list
}

// deployed is the question with a deploy of an entity so long before the case.
func deployed(in cause.Input, id heal.EntityID, before time.Duration) cause.Input {
	in.Signals = maps.Clone(in.Signals)
	s := in.Signals[id]
	s.Changes = []cause.Change{{ID: "deploy", At: in.Incident.BeganAt.Add(-before), Text: "deploy"}}
	in.Signals[id] = s
	return in
}

func sameCauses(a, b heal.Diagnosis) bool {
	return slices.EqualFunc(a.Causes, b.Causes, func(x, y heal.Cause) bool {
		return x.Entity == y.Entity && x.Pattern == y.Pattern && x.Score == y.Score
	})
}

// petQuietDeploys asks about times when nothing was wrong but that the alerted
// entity was deployed, and counts the empty answers.
func petQuietDeploys(s petScenario) (quiet, asked int) {
	n := len(s.normal.at)
	for _, target := range petTargets(s) {
		for at := n / 2; at < n-3; at += max(n/10, 1) {
			in := petInput(s.graph, target, s.normal.at[at], s.normal.rows(0, at), s.normal.rows(at, n))
			asked++
			if d := cause.Rank(deployed(in, heal.ServiceID(target.node), petBefore)); len(d.Causes) == 0 {
				quiet++
			}
		}
	}
	return quiet, asked
}
