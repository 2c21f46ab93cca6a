// Package form holds what the API says: the shapes of requests and answers,
// with their documentation, and the conversion of domain values into them.
//
// Its one invariant: a form is a promise to those who call the API; a change of
// a domain type never changes a form by itself. Durations are numbers of
// seconds and say so in their name, times are RFC 3339 in UTC, lists are never
// null. It links no server, so that clients can share it; it is not for rules
// about what may be done.
package form

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Page is one page of a list.
type Page[T any] struct {
	Items    []T    `json:"items" doc:"This page. It may hold fewer than asked for, even none, and still not be the last."`
	Cursor   string `json:"cursor,omitempty" doc:"Give it back as cursor for the next page, with the same filters. Absent on the last page."`
	Revision int64  `json:"revision" doc:"The state of the store this page was read from. Watch since it to miss nothing." example:"4711"`
}

// Reason explains one part of a judgement.
type Reason struct {
	Code     string         `json:"code" doc:"Stable name of the reason, for machines." example:"guard_cooldown"`
	Text     string         `json:"text" doc:"A plain sentence." example:"service/cart rests until 12:10"`
	Data     map[string]any `json:"data,omitempty" doc:"The figures behind the sentence."`
	Evidence []Evidence     `json:"evidence,omitempty"`
}

// Evidence is one observation, with enough to look it up again.
type Evidence struct {
	Kind    string    `json:"kind" enum:"metric,log,span,alert,probe,topology,history"`
	Entity  string    `json:"entity,omitempty" example:"service/cart"`
	Summary string    `json:"summary" doc:"One plain sentence."`
	Query   string    `json:"query,omitempty" doc:"How to see it again: PromQL, a trace id, or a log search."`
	Value   *float64  `json:"value,omitempty"`
	Unit    string    `json:"unit,omitempty" doc:"UCUM, as in OpenTelemetry." example:"s"`
	At      time.Time `json:"at" doc:"When it was observed at its source."`
}

// Reasons converts reasons; never nil.
func Reasons(in []heal.Reason) []Reason {
	return list(in, OfReason)
}

// OfReason converts one reason.
func OfReason(r heal.Reason) Reason {
	out := Reason{Code: r.Code, Text: r.Text, Data: r.Data}
	for _, e := range r.Evidence {
		out.Evidence = append(out.Evidence, ofEvidence(e))
	}
	return out
}

func ofEvidence(e heal.Evidence) Evidence {
	return Evidence{
		Kind: string(e.Kind), Entity: string(e.Entity), Summary: e.Summary, Query: e.Query,
		Value: e.Value, Unit: e.Unit, At: e.At.UTC(),
	}
}

// list converts each element; the result is never nil.
func list[In, Out any](in []In, convert func(In) Out) []Out {
	out := make([]Out, 0, len(in))
	for _, v := range in {
		out = append(out, convert(v))
	}
	return out
}

// texts converts named strings; never nil.
func texts[T ~string](in []T) []string {
	return list(in, func(v T) string { return string(v) })
}

// utc keeps a zero time zero, so that it is left out.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}
