package form

import (
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// NewChange is something that was changed in a running system, handed in by
// whoever changed it.
type NewChange struct {
	ID      string    `json:"id,omitempty" maxLength:"200" doc:"Names the change within its tenant, environment and cluster: sent again, it is written once. Absent: one is made." example:"ci-4711"`
	Kind    string    `json:"kind,omitempty" enum:"deploy,configuration,feature_flag,schema,other" doc:"Default: deploy."`
	Entity  string    `json:"entity,omitempty" maxLength:"512" doc:"What was changed, as kind/name. Default: the service." example:"database/orders"`
	Service string    `json:"service,omitempty" maxLength:"256" example:"cart"`
	Scope   string    `json:"scope,omitempty" maxLength:"512" doc:"tenant/env/cluster. Default: the server's own."`
	At      time.Time `json:"at,omitzero" doc:"When it took effect; default now. What comes after the beginning of a case is not blamed for it."`
	By      string    `json:"by,omitempty" maxLength:"256" doc:"Who changed it; default the caller." example:"alice"`
	Summary string    `json:"summary,omitempty" maxLength:"2000" doc:"A sentence for people." example:"new way to count stock"`
	Link    string    `json:"link,omitempty" maxLength:"2000" doc:"Where to read more, http or https." example:"https://ci.example.com/builds/4711"`
	Version string    `json:"version,omitempty" maxLength:"256" doc:"What a deploy brought." example:"1.4.2"`
}

// ChangeMade is one change as it was written down.
type ChangeMade struct {
	ID         string    `json:"id" example:"ci-4711"`
	Kind       string    `json:"kind" enum:"deploy,configuration,feature_flag,schema,other"`
	Entity     string    `json:"entity" example:"service/cart"`
	Scope      string    `json:"scope" example:"default/default/default/cart"`
	At         time.Time `json:"at" doc:"When it took effect."`
	ReceivedAt time.Time `json:"received_at"`
	By         string    `json:"by,omitempty"`
	Summary    string    `json:"summary,omitempty"`
	Link       string    `json:"link,omitempty"`
	Version    string    `json:"version,omitempty"`
	Source     string    `json:"source" doc:"api: somebody told of it; telemetry: nobody did, it shows in what the service sends." enum:"api,telemetry"`
	Text       string    `json:"text" doc:"The same in a phrase." example:"deploy of 1.4.2 by alice: new way to count stock"`

	Suspected []Suspicion `json:"suspected" doc:"Cases in which it speaks for its entity, the newest first."`
}

// Suspicion is a case in which a change is a suspect.
type Suspicion struct {
	Incident string `json:"incident_id" example:"0198b7a4-6f00-7000-8000-000000000001"`
	Title    string `json:"title" doc:"Of the case, when it was diagnosed." example:"cart is not reachable"`
}

// OfChange converts a change; may says which scopes of cases are told of.
func OfChange(c heal.Change, may func(heal.Scope) bool) ChangeMade {
	out := ChangeMade{
		ID: string(c.ID), Kind: string(c.Kind), Entity: string(c.Entity), Scope: c.Scope.String(), At: c.At.UTC(), ReceivedAt: c.ReceivedAt.UTC(),
		By: c.By, Summary: c.Summary, Link: c.Link, Version: c.Version, Source: c.Source, Text: c.Text(), Suspected: []Suspicion{},
	}
	for _, s := range slices.Backward(c.Suspected) {
		if may(s.Scope) {
			out.Suspected = append(out.Suspected, Suspicion{Incident: string(s.Incident), Title: s.Title})
		}
	}
	return out
}

// ChangesAround is what was changed around the beginning of a case.
type ChangesAround struct {
	Items    []ChangeAround `json:"items" doc:"The newest first."`
	Complete bool           `json:"complete" doc:"false: there were more, further from the beginning."`
}

// ChangeAround is a change, seen from a case.
type ChangeAround struct {
	ChangeMade
	BeforeSeconds float64 `json:"before_seconds" doc:"How long before the case began; negative: after." example:"240"`
	Suspect       bool    `json:"suspect" doc:"The diagnosis counts it for its entity."`
}
