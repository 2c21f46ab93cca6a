package web

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
)

func alertsPage(v *visit) error {
	b, revision, err := list[form.Alert](v, "/alerts", "/alerts", "status", "severity", "service", "name", "source", "entity", "q")
	if err != nil {
		return err
	}
	var silences form.Page[form.Silence]
	if err := v.get("/silences"+query("over", "false", "limit", "500"), &silences); err != nil {
		return err
	}
	lines := alertsBody{listing: listing[alertLine]{Filter: b.Filter, Choices: b.Choices, First: b.First, Next: b.Next, Narrow: b.Narrow}, Silences: len(silences.Items)}
	for _, a := range b.Items {
		lines.Items = append(lines.Items, alertLine{a, v.may(auth.Operate, a.Scope)})
	}
	return v.show("alerts", view{Title: "Alerts", Section: "alerts", Live: liveOf(revision, "alert,silence"), Body: lines})
}

type alertsBody struct {
	listing[alertLine]
	Silences int // that hold alerts back, or will
}

// alertLine is an alert, and whether the visitor may act on it.
type alertLine struct {
	form.Alert
	Operate bool
}

// Stands is the status for people: that it is held back goes first.
func (l alertLine) Stands() string {
	if l.SilencedBy != "" {
		return "silenced"
	}
	return l.Status
}

type alertBody struct {
	alertLine
	History []form.AlertEvent
	Raw     string
	Silence *form.Silence // that holds it; nil: none
}

func alertPage(v *visit) error {
	id := v.r.PathValue("id")
	var b alertBody
	if err := v.get("/alerts/"+escape(id), &b.Alert); err != nil {
		return err
	}
	var page form.Page[form.AlertEvent]
	if err := v.get("/alerts/"+escape(id)+"/history"+query("limit", "500"), &page); err != nil {
		return err
	}
	b.History, b.Operate = page.Items, v.may(auth.Operate, b.Scope)
	if len(b.Alert.Raw) > 0 {
		if pretty, err := json.MarshalIndent(b.Alert.Raw, "", "  "); err == nil {
			b.Raw = string(pretty)
		}
	}
	if b.SilencedBy != "" {
		b.Silence = &form.Silence{}
		if err := v.get("/silences/"+escape(b.SilencedBy), b.Silence); err != nil {
			return err
		}
	}
	return v.show("alert", view{
		Title: b.Name, Section: "alerts", Live: "/live" + query("since", strconv.FormatInt(b.Revision, 10), "id", id), Said: "The alert is " + b.Stands() + ".", Body: b,
	})
}

// alertDeed is what a person does to an alert.
func alertDeed(v *visit) error {
	verb := v.r.PathValue("verb")
	if !slices.Contains([]string{"ack", "unack", "resolve"}, verb) {
		return &refusal{Status: 404, Detail: "Nothing of the name " + strconv.Quote(verb) + " can be done to an alert."}
	}
	if err := v.send("POST", "/alerts/"+escape(v.r.PathValue("id"))+"/"+verb, form.Remark{Note: v.field("note")}, nil); err != nil {
		return err
	}
	return v.done(safeNext(v.field("back")))
}

type serviceLine struct {
	form.Entity
	Tone   string
	Cases  []form.IncidentSummary
	Alerts int // that fire for it
}

type servicesBody struct {
	Lines  []serviceLine
	Graph  graph
	Chosen *serviceLine
	Needs  []form.Edge
	Users  []form.Edge
	Guard  *form.GuardExplanation

	Changed []form.ChangeMade // the chosen one, the newest first
}

func servicesPage(v *visit) error {
	var all form.Services
	err := v.get("/services", &all)
	if err != nil {
		return err
	}
	var open form.Page[form.IncidentSummary]
	if err := v.get("/incidents"+query("open", "true", "limit", "500"), &open); err != nil {
		return err
	}
	var firing form.Page[form.Alert]
	if err := v.get("/alerts"+query("status", "firing", "limit", "500"), &firing); err != nil {
		return err
	}
	alerts := map[string]int{}
	for _, a := range firing.Items {
		alerts[a.Entity]++
	}
	var b servicesBody
	chosen := v.at("entity")
	for _, e := range all.Entities {
		l := serviceLine{Entity: e, Tone: "good"}
		for _, c := range open.Items {
			if c.Cause == e.ID || c.Cause == "" && strings.HasSuffix(c.Scope, "/"+e.Name) {
				l.Cases, l.Tone = append(l.Cases, c), "bad"
			}
		}
		if l.Alerts = alerts[e.ID]; l.Alerts > 0 && len(l.Cases) == 0 {
			l.Tone = "warn"
		}
		if e.RED == nil && l.Tone == "good" {
			l.Tone = "calm"
		}
		n := node{ID: e.ID, Label: shortEntity(e.ID), Tone: l.Tone, Href: "/services" + query("entity", e.ID)}
		if l.Tone == "good" {
			n.Tone = "calm" // on a map what is well stays quiet
		}
		if e.RED != nil {
			n.Label += "\n" + number(e.RED.Rate) + "/s, " + percent(e.RED.ErrorShare)
		}
		if e.ID == chosen {
			n.Role, b.Chosen = "chosen", &l
		}
		b.Lines, b.Graph.Nodes = append(b.Lines, l), append(b.Graph.Nodes, n)
	}
	for _, e := range all.Edges {
		b.Graph.Edges = append(b.Graph.Edges, edge{e.From, e.To, "calm"})
		if e.From == chosen {
			b.Needs = append(b.Needs, e)
		}
		if e.To == chosen {
			b.Users = append(b.Users, e)
		}
	}
	if b.Chosen != nil {
		var g form.GuardExplanation
		if err := v.get("/guard/explain"+query("target", chosen), &g); err == nil {
			b.Guard = &g
		}
		if b.Changed, err = v.newestChanges(chosen, 3); err != nil {
			return err
		}
	}
	return v.show("services", view{Title: "Services", Section: "services", Live: liveOf(open.Revision, "incident,alert,change"), Body: b})
}

type auditBody struct {
	listing[form.AuditEntry]
	Report *form.AuditReport
	Verify bool // the visitor may have the record checked
}

func auditPage(v *visit) error {
	l, _, err := list[form.AuditEntry](v, "/audit", "/audit", "actor", "act", "subject", "incident", "run")
	if err != nil {
		return err
	}
	b := auditBody{listing: l, Verify: v.may(auth.Read, "")}
	if b.Verify && v.at("verify") != "" {
		b.Report = &form.AuditReport{}
		if err := v.get("/audit/verify", b.Report); err != nil {
			return err
		}
	}
	return v.show("audit", view{Title: "Audit", Section: "audit", Body: b})
}
