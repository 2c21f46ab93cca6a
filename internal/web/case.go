package web

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
)

type caseBody struct {
	form.Incident
	Questions []question
	Story     []form.TimelineEntry
	Older     bool // the story is longer than what is shown
	Graph     graph
	Operate   bool // the visitor may act on the case
	Ended     bool
	What      string // what goes on and comes next, in a sentence
	Changes   form.ChangesAround
	Noted     []form.Reason // what was seen beside the changes
}

// storyPages bounds what is read of a long story; the newest lines are shown.
const storyPages = 10

func casePage(v *visit) error {
	id := v.r.PathValue("id")
	var b caseBody
	if err := v.get("/incidents/"+escape(id), &b.Incident); err != nil {
		return err
	}
	cursor := ""
	for range storyPages {
		var page form.Page[form.TimelineEntry]
		if err := v.get("/incidents/"+escape(id)+"/timeline"+query("limit", "500", "cursor", cursor), &page); err != nil {
			return err
		}
		b.Story = append(b.Story, page.Items...)
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	if limit := 300; len(b.Story) > limit {
		b.Story, b.Older = b.Story[len(b.Story)-limit:], true
	}
	asked, _, err := v.questions(1 << 20)
	if err != nil {
		return err
	}
	for _, q := range asked {
		if q.Incident == id {
			b.Questions = append(b.Questions, q)
		}
	}
	var services form.Services
	if err := v.get("/services?traffic=false", &services); err != nil {
		return err
	}
	b.Graph = graphOf(&b.Incident, services)
	if err := v.get("/incidents/"+escape(id)+"/changes", &b.Changes); err != nil {
		return err
	}
	b.Noted = notedBeside(&b)
	state := heal.CaseState(b.State)
	b.Ended, b.Operate, b.What = state.Ended(), v.may(auth.Operate, b.Scope), next(&b)
	return v.show("case", view{
		Title: b.Title, Section: "cases", Live: "/live" + query("since", strconv.FormatInt(b.Revision, 10), "id", id),
		Said: "The case is " + strings.ReplaceAll(b.State, "_", " ") + ". " + b.What, Body: b,
	})
}

// notedBeside gives what else was seen, but for the changes that are listed.
func notedBeside(b *caseBody) []form.Reason {
	if b.Diagnosis == nil {
		return nil
	}
	listed := map[string]bool{}
	for _, c := range b.Changes.Items {
		listed[c.ID] = true
	}
	return slices.DeleteFunc(b.Diagnosis.Noted, func(r form.Reason) bool {
		return r.Code == "changed" && slices.ContainsFunc(r.Evidence, func(e form.Evidence) bool { return listed[e.Query] })
	})
}

// next says what goes on and what comes next.
func next(b *caseBody) string {
	plan := ""
	if d := b.Decision; d != nil && d.Plan != nil {
		plan = d.Plan.Playbook + " on " + shortEntity(d.Plan.Target)
	}
	switch heal.CaseState(b.State) {
	case heal.CaseOpen:
		return cmp.Or(b.Held, "Signals that belong to it are being gathered; then the cause is looked for.")
	case heal.CaseDiagnosing:
		return cmp.Or(b.Held, "The cause is being looked for.")
	case heal.CaseDeciding:
		return cmp.Or(b.Held, "A plan is being chosen.")
	case heal.CaseWaiting:
		return "A person is asked whether " + plan + " may run. No answer means no."
	case heal.CaseActing:
		return plan + " is running. Then fresh evidence must show that it helped."
	case heal.CaseVerifying:
		return plan + " is done. Fresh evidence must now show that the fault is gone."
	case heal.CaseEscalated:
		return cmp.Or(b.Outcome, "It was handed to a person.") + " Nothing more is done by itself."
	case heal.CaseHealed, heal.CaseClosed:
		return b.Outcome
	}
	return ""
}

// graph is what a script draws: nodes with a class that says their state.
type graph struct {
	Nodes []node `json:"nodes"`
	Edges []edge `json:"edges"`
	Down  bool   `json:"down,omitempty"` // drawn from top to bottom; else from left to right
}

type node struct {
	ID    string `json:"id"`
	Label string `json:"label"`
	Tone  string `json:"tone"` // as of states
	Role  string `json:"role,omitempty"`
	Href  string `json:"href,omitempty"`
}

type edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Tone string `json:"tone"`
}

// JSON is the graph for the script.
func (g graph) JSON() (string, error) { return asJSON(g) }

func asJSON(v any) (string, error) {
	data, err := json.Marshal(v)
	return string(data), err
}

// reach is how many steps from the case a graph of it shows.
const reach = 2

// graphOf draws what the case is about, and what lies near it.
func graphOf(c *form.Incident, all form.Services) graph {
	role := map[string]string{}
	for _, m := range c.Members {
		role[m.Entity] = "shows it"
	}
	path := map[string]bool{}
	if d := c.Diagnosis; d != nil {
		for _, e := range d.Affected {
			role[e] = "suffers"
		}
		if len(d.Causes) > 0 {
			for _, e := range d.Causes[0].Path {
				path[e] = true
				if role[e] == "" {
					role[e] = "on the way"
				}
			}
		}
	}
	if c.Cause != "" {
		role[c.Cause] = "cause"
	}
	near := map[string]bool{}
	for e := range role {
		near[e] = true
	}
	for range reach {
		next := map[string]bool{}
		for _, e := range all.Edges {
			if near[e.From] || near[e.To] {
				next[e.From], next[e.To] = true, true
			}
		}
		for e := range next {
			near[e] = true
		}
	}
	var g graph
	for _, e := range sortedKeys(near) {
		g.Nodes = append(g.Nodes, node{ID: e, Label: shortEntity(e), Role: role[e], Tone: roleTones[role[e]], Href: "/services" + query("entity", e)})
	}
	for _, e := range all.Edges {
		if near[e.From] && near[e.To] {
			tone := "calm"
			if role[e.To] == "cause" && role[e.From] != "" || path[e.From] && path[e.To] {
				tone = "bad"
			}
			g.Edges = append(g.Edges, edge{e.From, e.To, tone})
		}
	}
	slices.SortFunc(g.Edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return g
}

var roleTones = map[string]string{"cause": "bad", "suffers": "warn", "shows it": "warn", "on the way": "busy", "": "calm"}

type signalsBody struct {
	form.Signals
	ID string
}

// Chart is a chart for the script that draws it.
func (b signalsBody) Chart(i int) (string, error) {
	return asJSON(struct {
		form.Chart
		Marks []form.Mark `json:"marks"`
	}{b.Charts[i], b.Marks})
}

// signalsPart is the telemetry around a case, which takes longer to read than
// what is known of it.
func signalsPart(v *visit) error {
	b := signalsBody{ID: v.r.PathValue("id")}
	if err := v.get("/incidents/"+escape(b.ID)+"/signals", &b.Signals); err != nil {
		return err
	}
	return v.show("part-signals", view{Body: b})
}

// caseDeed is what a person does to a case.
func caseDeed(v *visit) error {
	id, reason := v.r.PathValue("id"), strings.TrimSpace(v.field("reason"))
	var err error
	path := "/incidents/" + escape(id)
	switch verb := v.r.PathValue("verb"); verb {
	case "note":
		err = v.send("POST", path+"/notes", form.Note{Text: reason}, nil)
	case "take-over":
		err = v.send("POST", path+"/escalate", form.Because{Reason: cmp.Or(reason, v.who.Name+" takes it over")}, nil)
	case "escalate", "close":
		err = v.send("POST", path+"/"+verb, form.Because{Reason: reason}, nil)
	default:
		err = &refusal{Status: 404, Detail: "Nothing of the name " + strconv.Quote(verb) + " can be done to a case."}
	}
	if err != nil {
		return err
	}
	return v.done("/cases/" + escape(id))
}
