package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/heal"
)

// changeKinds are the kinds of change that the list is narrowed by.
func changeKinds() (kinds []string) {
	for _, k := range heal.ChangeKinds() {
		kinds = append(kinds, string(k))
	}
	return kinds
}

type changesBody struct {
	listing[form.ChangeMade]
	From, To time.Time // zero: of any time
}

func changesPage(v *visit) error {
	var b changesBody
	asked := v.r.URL.Query()
	for _, f := range []struct {
		name, label string
		into        *time.Time
	}{{"from", "From", &b.From}, {"to", "To", &b.To}} {
		t, err := moment(f.label, v.at(f.name))
		if err != nil {
			return err
		}
		*f.into = t
		if asked.Del(f.name); !t.IsZero() {
			asked.Set(f.name, t.Format(time.RFC3339Nano))
		}
	}
	if !b.From.IsZero() && !b.To.IsZero() && !b.From.Before(b.To) {
		return &refusal{Status: http.StatusUnprocessableEntity, Detail: "From is " + b.From.Format(time.RFC3339) + ", expected a time before To, " + b.To.Format(time.RFC3339) + "."}
	}
	v.r.URL.RawQuery = asked.Encode()
	l, revision, err := list[form.ChangeMade](v, "/changes", "/changes", "service", "entity", "kind", "from", "to")
	if err != nil {
		return err
	}
	b.listing = l
	return v.show("changes", view{Title: "Changes", Section: "changes", Live: liveOf(revision, "change"), Body: b})
}

// newestChanges gives the newest changes of an entity, or of everything.
func (v *visit) newestChanges(entity string, limit int) ([]form.ChangeMade, error) {
	var page form.Page[form.ChangeMade]
	err := v.get("/changes"+query("entity", entity, "limit", strconv.Itoa(limit)), &page)
	return page.Items, err
}

// relation says when a change was made, as seen from the case.
func relation(before float64) string {
	switch s := time.Duration(before * float64(time.Second)).Round(time.Second); {
	case s > 0:
		return seconds(s.Seconds()) + " before the first alert"
	case s < 0:
		return seconds(-s.Seconds()) + " after the first alert"
	}
	return "with the first alert"
}
