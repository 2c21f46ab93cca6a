package form

import (
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Silence holds alerts back for a time.
type Silence struct {
	ID       string    `json:"id"`
	Revision int64     `json:"revision" doc:"Grows with every change of this silence."`
	State    string    `json:"state" enum:"pending,active,expired,ended" doc:"pending: has not begun. expired: its time ran out. ended: somebody ended it early."`
	Scope    string    `json:"scope" doc:"Alerts outside of it are not held. Empty: everything."`
	Matchers []string  `json:"matchers" example:"service=\"cart\""`
	Starts   time.Time `json:"starts"`
	Ends     time.Time `json:"ends" doc:"The first moment at which it holds no more."`
	Reason   string    `json:"reason"`
	Author   string    `json:"author"`
	Created  time.Time `json:"created"`
	EndedBy  string    `json:"ended_by,omitempty"`
}

// SilenceOrder asks for a silence.
type SilenceOrder struct {
	Scope    string    `json:"scope,omitempty" maxLength:"512" doc:"tenant/env/cluster/service, trailing parts may be left out. Empty: everything." example:"default/prod"`
	Matchers []string  `json:"matchers" minItems:"1" maxItems:"20" doc:"Conditions on labels, which must all hold, with =, !=, =~ and !~ as in Alertmanager: regular expressions (RE2) match the whole value. A label that is not there is as an empty one; alertname, severity, service, entity and source are always there. One condition at least must not match the empty value." example:"service=\"cart\""`
	Starts   time.Time `json:"starts,omitzero" doc:"Default: now."`
	Ends     time.Time `json:"ends,omitzero" doc:"At most 90 days after its start. It or seconds must be given."`
	Seconds  int64     `json:"seconds,omitempty" minimum:"1" maximum:"1000000000" doc:"How long it holds, instead of ends." example:"7200"`
	Reason   string    `json:"reason" minLength:"1" maxLength:"1000" example:"the database is being moved"`
}

// OfSilence converts a silence as it stands at a time.
func OfSilence(s *heal.Silence, revision int64, now time.Time) Silence {
	out := Silence{
		ID: string(s.ID), Revision: revision, State: string(s.State(now)), Scope: strings.TrimRight(s.Scope.String(), "/"), Matchers: []string{},
		Starts: s.Starts.UTC(), Ends: s.Ends.UTC(), Reason: s.Reason, Author: s.Author, Created: s.Created.UTC(), EndedBy: s.EndedBy,
	}
	for _, m := range s.Matchers {
		out.Matchers = append(out.Matchers, m.String())
	}
	return out
}
