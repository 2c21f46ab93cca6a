package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
)

// story is a case with its timeline.
type story struct {
	form.Incident
	Timeline []form.TimelineEntry `json:"timeline"`

	evidence bool // also how each observation can be looked up again, and the causes that came second
}

// tell writes the story for people.
func (t *story) tell(p *page) {
	i := &t.Incident
	p.out.WriteString(p.paint(bold, oneLine(i.Title)) + "\n")
	p.field("id", i.ID)
	p.field("state", i.State+suffix(", ", i.Outcome)+suffix("; held: ", i.Held))
	p.field("severity", i.Severity)
	p.field("scope", i.Scope)
	p.field("began", p.clock(i.BeganAt)+" UTC, "+p.ago(i.BeganAt)+"; detected after "+span(i.DetectedAt.Sub(i.BeganAt)))
	if !i.EndedAt.IsZero() {
		p.field("ended", p.clock(i.EndedAt)+" UTC, after "+span(i.EndedAt.Sub(i.DetectedAt)))
	}
	t.faults(p)
	t.cause(p)
	t.decision(p)
	t.attempts(p)
	t.timeline(p)
}

func suffix(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

func (t *story) faults(p *page) {
	p.title("What is wrong")
	for _, f := range t.Members {
		state := "since " + p.clock(f.Began)
		if !f.ClearedAt.IsZero() {
			state += ", cleared " + p.clock(f.ClearedAt)
		}
		p.wrapped("  - ", fmt.Sprintf("%s (%s, %s): %s %s; %s", f.Entity, f.Role, f.Severity, f.Type, suffix("- ", f.Message), state))
	}
	if len(t.Members) == 0 {
		p.line("  no fault belongs to it")
	}
}

func (t *story) cause(p *page) {
	d := t.Diagnosis
	if d == nil {
		return
	}
	p.title("Why")
	if len(d.Causes) == 0 {
		p.line("  no cause was found")
	}
	for n, c := range d.Causes {
		way := ""
		if len(c.Path) > 1 { // else it is the alerted entity itself
			way = "; by way of " + strings.Join(c.Path, " -> ")
		}
		p.wrapped(fmt.Sprintf("  %d. ", n+1), fmt.Sprintf("%s: %s (%s), score %.2f%s", c.Entity, c.Pattern, c.FaultType, c.Score, way))
		if n > 0 && !t.evidence {
			continue
		}
		t.reasons(p, "     for:     ", c.For)
		t.reasons(p, "     against: ", c.Against)
	}
	if !t.evidence && len(d.Causes) > 0 {
		p.line("  (--evidence shows the query behind each reason, and the reasons of the others)")
	}
	p.wrapped("  confidence ", fmt.Sprintf("%.0f %%", 100*d.Confidence))
	t.reasons(p, "  because:   ", d.Reasons)
	if len(d.Affected) > 0 {
		p.wrapped("  affected:  ", strings.Join(d.Affected, ", ")+suffix(" - ", d.Impact))
	}
	if len(d.Noted) > 0 {
		p.title("Also seen")
		t.reasons(p, "  - ", d.Noted)
	}
}

func (t *story) decision(p *page) {
	d := t.Decision
	if d == nil {
		return
	}
	p.title("What was decided")
	what := map[string]string{"act": "act", "ask": "ask a person first", "observe": "only look (dry run)", "escalate": "hand it to a person"}[d.Verb]
	if d.Plan != nil {
		what += fmt.Sprintf(": playbook %s on %s, risk %s, about %s", d.Plan.Playbook, d.Plan.Target, d.Risk, took(d.Plan.EstimatedSeconds))
		if d.Plan.Rollbackable {
			what += ", can be rolled back"
		}
	}
	p.wrapped("  ", what)
	t.reasons(p, "  because:   ", d.Reasons)
	if d.Plan != nil {
		for _, step := range d.Plan.Steps {
			p.wrapped("    ", step)
		}
	}
	for _, v := range d.Votes {
		p.wrapped("  vote:      ", fmt.Sprintf("%s for %s, %.2f x %.2f: %s", v.By, v.Playbook, v.Score, v.Weight, v.Reason.Text))
	}
	t.reasons(p, "  not:       ", d.Rejected)
}

func (t *story) attempts(p *page) {
	if len(t.History) > 0 {
		p.title("What was done")
	}
	for _, a := range t.History {
		p.wrapped(fmt.Sprintf("  %d. ", a.N), fmt.Sprintf("%s on %s at %s: %s%s%s", a.Playbook, a.Target, p.clock(a.StartedAt), a.Result, suffix(", ", a.Note), suffix(" (run ", a.Run)+closing(a.Run)))
	}
	if v := t.Verification; v != nil {
		p.title("What was seen afterwards")
		p.wrapped("  ", fmt.Sprintf("%s, watched from %s to %s", v.Verdict, p.clock(v.From), p.clock(v.Until)))
		t.reasons(p, "  because:   ", v.Reasons)
	}
}

func closing(text string) string {
	if text == "" {
		return ""
	}
	return ")"
}

func (t *story) timeline(p *page) {
	p.title("Timeline")
	if len(t.Timeline) == 0 {
		p.line("  nothing yet")
		return
	}
	began := t.Timeline[0].At
	for _, e := range t.Timeline {
		by := suffix(" [", e.By) + strings.Repeat("]", min(len(e.By), 1))
		p.wrapped(fmt.Sprintf("  %s %8s  %-8s ", p.clock(e.At), "+"+elapsed(e.At.Sub(began)), e.Stage), e.Text+by)
	}
}

func elapsed(d time.Duration) string {
	if d < 100*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return span(d)
}

// reasons writes each reason, with the evidence behind it if that was asked for.
func (t *story) reasons(p *page, head string, list []form.Reason) {
	for _, r := range list {
		p.wrapped(head, r.Text)
		if !t.evidence {
			continue
		}
		for _, e := range r.Evidence {
			figure := ""
			if e.Value != nil {
				figure = fmt.Sprintf(" = %g %s", *e.Value, e.Unit)
			}
			p.wrapped(strings.Repeat(" ", len(head))+"* ", fmt.Sprintf("%s: %s%s%s", e.Kind, e.Summary, strings.TrimRight(figure, " "), suffix("; see ", e.Query)))
		}
	}
}
