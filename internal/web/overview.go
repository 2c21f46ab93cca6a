package web

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// views are the pages by the pattern of their path.
func (s *site) views() map[string]func(*visit) error {
	return map[string]func(*visit) error{
		"/{$}": overviewPage, "/part/trend": trendPart,
		"/cases": casesPage, "/cases/{id}": casePage, "/part/cases/{id}/signals": signalsPart,
		"/runs": runsPage, "/runs/{id}": runPage,
		"/playbooks": booksPage, "/playbooks/{id}": bookPage,
		"/alerts": alertsPage, "/alerts/{id}": alertPage, "/silences": silencesPage,
		"/changes": changesPage, "/services": servicesPage, "/audit": auditPage,
	}
}

// deeds are what forms do, by the pattern of their path.
func (s *site) deeds() map[string]func(*visit) error {
	return map[string]func(*visit) error{
		"/answer": answerDeed, "/kill-switch": switchDeed,
		"/cases/{id}/{verb}": caseDeed, "/runs/{id}/{verb}": runDeed, "/playbooks/{id}/{verb}": bookDeed, "/alerts/{id}/{verb}": alertDeed,
		"/silences": silenceDeed, "/silences/{id}/end": endDeed,
	}
}

// question is something that waits for a person, and whether for this one.
type question struct {
	form.Waiting
	Mine bool
}

type overviewBody struct {
	Counts    form.Overview
	Severity  []tally
	States    []stateRow
	Questions []question
	More      bool // questions than are shown
	Handed    []form.IncidentSummary
	Going     []form.IncidentSummary
	Ended     []form.IncidentSummary
	Changed   []form.ChangeMade
	Switch    bool // the visitor may turn the kill switch of everything
	Stopped   bool
}

type tally struct {
	Name  string
	Count int
}

// stateRow is how many cases have a state, by severity.
type stateRow struct {
	State  string
	Cells  []tally
	Amount int
}

// shown is how many lines a list on the overview has, and shownChanges that of
// what was changed.
const (
	shown        = 8
	shownChanges = 5
)

func overviewPage(v *visit) error {
	var b overviewBody
	if err := v.get("/overview", &b.Counts); err != nil {
		return err
	}
	b.tally()
	var err error
	if b.Questions, b.More, err = v.questions(shown); err != nil {
		return err
	}
	for _, l := range []struct {
		into   *[]form.IncidentSummary
		states []string
		limit  int
	}{
		{&b.Handed, []string{"escalated"}, shown},
		{&b.Going, []string{"acting", "verifying", "deciding", "diagnosing", "open"}, shown},
		{&b.Ended, []string{"healed", "closed"}, shown},
	} {
		for _, state := range l.states {
			var page form.Page[form.IncidentSummary]
			if err := v.get("/incidents"+query("state", state, "limit", strconv.Itoa(l.limit)), &page); err != nil {
				return err
			}
			*l.into = append(*l.into, page.Items...)
		}
		slices.SortStableFunc(*l.into, func(a, b form.IncidentSummary) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
		*l.into = (*l.into)[:min(len(*l.into), l.limit)]
	}
	if b.Changed, err = v.newestChanges("", shownChanges); err != nil {
		return err
	}
	b.Switch = v.may(auth.Operate, "")
	return v.show("overview", view{
		Title: "Overview", Section: "overview", Live: "/live" + query("since", strconv.FormatInt(b.Counts.Revision, 10), "what", "incident,run,change"),
		Said: strconv.Itoa(b.Counts.Total) + " cases open, " + strconv.Itoa(len(b.Questions)) + " questions wait for a person.", Body: b,
	})
}

// tally adds the counts up by severity and by state.
func (b *overviewBody) tally() {
	total := map[string]int{}
	for _, c := range b.Counts.Open {
		total[c.Severity] += c.Count
		if len(b.States) == 0 || b.States[len(b.States)-1].State != c.State {
			row := stateRow{State: c.State}
			for _, s := range severities {
				row.Cells = append(row.Cells, tally{Name: s})
			}
			b.States = append(b.States, row)
		}
		row := &b.States[len(b.States)-1]
		row.Amount += c.Count
		row.Cells[slices.Index(severities, c.Severity)].Count = c.Count
	}
	for _, s := range severities {
		b.Severity = append(b.Severity, tally{s, total[s]})
	}
}

// severities are those there are, the worst first.
var severities = []string{"critical", "warning", "info"}

// questions lists what waits for a person, what waits for the visitor first and
// of that what must be answered soonest.
func (v *visit) questions(limit int) (list []question, more bool, err error) {
	var page form.Page[form.Waiting]
	if err := v.get("/approvals"+query("limit", "500"), &page); err != nil {
		return nil, false, err
	}
	for _, w := range page.Items {
		list = append(list, question{w, v.mayAnswer(w)})
	}
	slices.SortStableFunc(list, func(a, b question) int {
		if a.Mine != b.Mine {
			if a.Mine {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Deadline.UnixNano(), b.Deadline.UnixNano())
	})
	more = page.Cursor != "" || len(list) > limit
	return list[:min(len(list), limit)], more, nil
}

// answerDeed answers a question: yes, no, or what became of a task.
func answerDeed(v *visit) error {
	run, back := v.field("run"), safeNext(v.field("back"))
	var err error
	switch verb := v.field("verb"); verb {
	case "approve", "deny":
		err = v.send("POST", "/runs/"+escape(run)+"/"+verb, form.Answer{Task: v.field("task"), Note: v.field("note")}, nil)
	case "happened", "retry", "give_up":
		err = v.send("POST", "/runs/"+escape(run)+"/settle", form.Settlement{Task: v.field("task"), As: verb, Note: v.field("note")}, nil)
	default:
		return &refusal{Status: 422, Detail: "The answer is " + strconv.Quote(verb) + ", expected approve, deny, happened, retry or give_up."}
	}
	if err != nil {
		return err
	}
	return v.done(back)
}

// switchDeed turns a kill switch.
func switchDeed(v *visit) error {
	order := form.SwitchOrder{Scope: v.field("scope"), On: v.field("on") == "true", Reason: v.field("reason")}
	if err := v.send("PUT", "/kill-switch", order, nil); err != nil {
		return err
	}
	return v.done(safeNext(v.field("back")))
}

// trendBody is what was healed over two weeks.
type trendBody struct {
	form.Trend
	Bars   []bar
	Today  form.TrendDay
	Heals  int
	MTTR   float64 // mean of the heals of the window, in seconds
	Before float64 // the same of the week before the newest seven days
}

// bar is one day of the chart, in its units: 0 to 100 high.
type bar struct {
	X, Height, Y float64
	Day          form.TrendDay
}

func trendPart(v *visit) error {
	var b trendBody
	if err := v.get("/trend"+query("days", "14"), &b.Trend); err != nil {
		return err
	}
	top := 0.0
	for _, d := range b.Days {
		top = max(top, d.MTTRSeconds)
	}
	var now, before, healsNow, healsBefore float64
	for i, d := range b.Days {
		h := 2.0 // a day without heals is a line on the ground
		if top > 0 && d.Healed > 0 {
			h = max(4, d.MTTRSeconds/top*100)
		}
		b.Bars = append(b.Bars, bar{X: float64(i * 10), Height: h, Y: 100 - h, Day: d})
		b.Heals += d.Healed
		if i >= len(b.Days)-7 {
			now, healsNow = now+d.MTTRSeconds*float64(d.Healed), healsNow+float64(d.Healed)
		} else {
			before, healsBefore = before+d.MTTRSeconds*float64(d.Healed), healsBefore+float64(d.Healed)
		}
	}
	if len(b.Days) > 0 {
		b.Today = b.Days[len(b.Days)-1]
	}
	if healsNow > 0 {
		b.MTTR = now / healsNow
	}
	if healsBefore > 0 {
		b.Before = before / healsBefore
	}
	return v.show("part-trend", view{Body: b})
}
