package form

import (
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
}

// OfChange converts a change.
func OfChange(c heal.Change, _ int64) ChangeMade {
	return ChangeMade{
		ID: string(c.ID), Kind: string(c.Kind), Entity: string(c.Entity), Scope: c.Scope.String(), At: c.At.UTC(), ReceivedAt: c.ReceivedAt.UTC(),
		By: c.By, Summary: c.Summary, Link: c.Link, Version: c.Version, Source: c.Source, Text: c.Text(),
	}
}
