package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
)

// silenceLine is a silence, and whether the visitor may end it.
type silenceLine struct {
	form.Silence
	Operate bool
}

// Stands is the state for people: that a silence is over is no fault.
func (l silenceLine) Stands() string {
	switch heal.SilenceState(l.State) {
	case heal.SilencePending, heal.SilenceActive:
		return l.State
	case heal.SilenceExpired, heal.SilenceEnded:
	}
	return "over"
}

type silencesBody struct {
	listing[silenceLine]
	Over     bool // the list is of those that are over
	Operate  bool // somewhere
	Lengths  []string
	About    *form.Alert // the form is filled in for it; nil: for none
	Matchers string
	Scope    string
	Starts   time.Time // zero: now
}

// lengths are how long a silence may last, as the page offers it.
var lengths = []string{"30m", "1h", "2h", "4h", "8h", "24h", "72h", "168h"}

func silencesPage(v *visit) error {
	over := v.at("over") == "true"
	asked := v.r.URL.Query()
	asked.Set("over", strconv.FormatBool(over))
	v.r.URL.RawQuery = asked.Encode()
	l, revision, err := list[form.Silence](v, "/silences", "/silences", "over")
	if err != nil {
		return err
	}
	b := silencesBody{Over: over, Operate: len(v.who.Scopes(auth.Operate)) > 0, Lengths: lengths}
	b.First, b.Next = l.First, l.Next
	for _, s := range l.Items {
		b.Items = append(b.Items, silenceLine{s, v.may(auth.Operate, s.Scope) && !over})
	}
	if id := v.at("alert"); id != "" {
		b.About = &form.Alert{}
		if err := v.get("/alerts/"+escape(id), b.About); err != nil {
			return err
		}
		b.Matchers, b.Scope = strings.Join(matchersOf(b.About), "\n"), strings.TrimRight(b.About.Scope, "/")
	}
	return v.show("silences", view{Title: "Silences", Section: "alerts", Live: liveOf(revision, "silence"), Body: b})
}

// What a silence takes at most.
const (
	maxMatchers     = 20
	maxMatcherValue = 1024 // bytes
)

// matchersOf are the matchers that match an alert and few others.
func matchersOf(a *form.Alert) []string {
	var out []string
	add := func(label, value string) {
		if value != "" && len(value) <= maxMatcherValue && len(out) < maxMatchers {
			out = append(out, heal.Matcher{Label: label, Op: heal.MatchEqual, Value: value}.String())
		}
	}
	if a.Labels["alertname"] == "" {
		add("alertname", a.Name)
	}
	for _, label := range sortedKeys(a.Labels) {
		if !strings.ContainsAny(label, " =!~\"{},") {
			add(label, a.Labels[label])
		}
	}
	if len(a.Labels) == 0 {
		add("entity", a.Entity)
	}
	return out
}

// silenceDeed holds alerts back.
func silenceDeed(v *visit) error {
	lasts, err := time.ParseDuration(v.field("for"))
	if err != nil || !slices.Contains(lengths, v.field("for")) {
		return &refusal{Status: http.StatusUnprocessableEntity, Detail: "How long it is to last is not one of those offered."}
	}
	starts, err := moment("From", v.field("starts"))
	if err != nil {
		return err
	}
	order := form.SilenceOrder{Scope: strings.TrimSpace(v.field("scope")), Starts: starts, Reason: v.field("reason"), Seconds: int64(lasts.Seconds()), Matchers: []string{}}
	for text := range strings.SplitSeq(v.field("matchers"), "\n") {
		if text = strings.TrimSpace(text); text != "" {
			order.Matchers = append(order.Matchers, text)
		}
	}
	if err := v.send(http.MethodPost, "/silences", order, nil); err != nil {
		return err
	}
	return v.done("/silences")
}

// endDeed ends a silence early.
func endDeed(v *visit) error {
	if err := v.send(http.MethodDelete, "/silences/"+escape(v.r.PathValue("id")), nil, nil); err != nil {
		return err
	}
	return v.done(safeNext(v.field("back")))
}
