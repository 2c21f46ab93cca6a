package web

import (
	"net/url"
	"strconv"

	"github.com/homeostat/homeostat/internal/api/form"
)

func escape(id string) string { return url.PathEscape(id) }

// listing is a list page: what it is narrowed by, one page of it and the way to
// the next.
type listing[T any] struct {
	Items   []T
	Filter  map[string]string // what the list is narrowed by, the empty included
	Choices map[string][]string
	First   string // path of the first page, if this is another
	Next    string // path of the next page, if there is one
	Narrow  bool
}

// lineLimit is how many lines a page of a list has.
const lineLimit = 50

// list asks for one page of a list, narrowed by the query's values of the
// filters.
func list[T any](v *visit, here, path string, filters ...string) (listing[T], int64, error) {
	out := listing[T]{Filter: map[string]string{}, Choices: choices}
	pairs := []string{"limit", strconv.Itoa(lineLimit)}
	var kept []string
	for _, f := range filters {
		value := v.at(f)
		out.Filter[f] = value
		out.Narrow = out.Narrow || value != ""
		kept = append(kept, f, value)
	}
	pairs = append(pairs, kept...)
	cursor := v.at("cursor")
	var page form.Page[T]
	if err := v.get(path+query(append(pairs, "cursor", cursor)...), &page); err != nil {
		return out, 0, err
	}
	out.Items = page.Items
	if page.Cursor != "" {
		out.Next = here + query(append(kept, "cursor", page.Cursor)...)
	}
	if cursor != "" {
		out.First = here + query(kept...)
	}
	return out, page.Revision, nil
}

// choices are the values filters offer.
var choices = map[string][]string{
	"state":       {"escalated", "waiting_approval", "acting", "verifying", "deciding", "diagnosing", "open", "healed", "closed"},
	"severity":    severities,
	"status":      {"firing", "silenced", "acknowledged", "resolved"},
	"change_kind": changeKinds(),
	"run_state":   {"waiting_approval", "running", "paused", "pending", "succeeded", "failed", "timed_out", "unknown", "skipped", "rolled_back", "cancelled"},
}

// liveOf is the stream of a page that shows things of some kinds.
func liveOf(revision int64, what string) string {
	return "/live" + query("since", strconv.FormatInt(revision, 10), "what", what)
}

func casesPage(v *visit) error {
	b, revision, err := list[form.IncidentSummary](v, "/cases", "/incidents", "open", "state", "severity", "service", "cause")
	if err != nil {
		return err
	}
	return v.show("cases", view{Title: "Cases", Section: "cases", Live: liveOf(revision, "incident"), Body: b})
}
