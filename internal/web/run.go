package web

import (
	"slices"
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
)

func runsPage(v *visit) error {
	b, revision, err := list[form.RunSummary](v, "/runs", "/runs", "state", "ended", "playbook", "target", "incident")
	if err != nil {
		return err
	}
	return v.show("runs", view{Title: "Runs", Section: "runs", Live: liveOf(revision, "run"), Body: b})
}

type runBody struct {
	form.Run
	Questions []question
	Journal   []form.JournalEntry
	Older     bool
	Refusals  []form.Refusal
	Graph     graph
	Operate   bool
	Ended     bool
	Undoable  bool // something was completed that can be undone
	Rerunable []string
}

func runPage(v *visit) error {
	id := v.r.PathValue("id")
	var b runBody
	if err := v.get("/runs/"+escape(id), &b.Run); err != nil {
		return err
	}
	cursor := ""
	for range storyPages {
		var page form.Page[form.JournalEntry]
		if err := v.get("/runs/"+escape(id)+"/journal"+query("cursor", cursor), &page); err != nil {
			return err
		}
		b.Journal = append(b.Journal, page.Items...)
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	b.Older = cursor != ""
	var refusals form.Page[form.Refusal]
	if err := v.get("/runs/"+escape(id)+"/refusals", &refusals); err != nil {
		return err
	}
	b.Refusals = refusals.Items
	for _, w := range b.Waits {
		b.Questions = append(b.Questions, question{w, v.mayAnswer(w)})
	}
	b.Graph = stepsOf(b.Tasks)
	b.Ended, b.Operate = heal.RunState(b.State).Ended(), v.may(auth.Operate, b.Scope)
	for i := range b.Tasks {
		t := &b.Tasks[i]
		b.Undoable = b.Undoable || t.State == string(heal.RunSucceeded) && !t.Kept
		b.Rerunable = append(b.Rerunable, t.ID)
	}
	return v.show("run", view{
		Title: b.Playbook + " on " + shortEntity(b.Target), Section: "runs", Live: "/live" + query("since", strconv.FormatInt(b.Revision, 10), "id", id),
		Said: "The run is " + strings.ReplaceAll(b.State, "_", " ") + ".", Body: b,
	})
}

// stepsOf draws the tasks of a run, each after those it depends on.
func stepsOf(tasks []form.Task) graph {
	g := graph{Down: len(tasks) > 4}
	for i := range tasks {
		t := &tasks[i]
		label := t.ID
		if t.Attempt > 1 {
			label += " ×" + strconv.Itoa(t.Attempt)
		}
		n := node{ID: t.ID, Label: glyph(t.State) + " " + label + "\n" + t.Action, Tone: tone(t.State), Href: "#task-" + t.ID}
		if t.Undo != nil {
			n.Label += "\nundo: " + words(t.Undo.State)
			n.Tone = "warn"
		}
		g.Nodes = append(g.Nodes, n)
		for _, from := range t.DependsOn {
			state := "calm"
			if k := slices.IndexFunc(tasks, func(o form.Task) bool { return o.ID == from }); k >= 0 && tasks[k].State == string(heal.RunSucceeded) {
				state = "good"
			}
			g.Edges = append(g.Edges, edge{from, t.ID, state})
		}
	}
	return g
}

// runDeed is what a person does to a run.
func runDeed(v *visit) error {
	id, reason := v.r.PathValue("id"), strings.TrimSpace(v.field("reason"))
	path := "/runs/" + escape(id) + "/"
	switch verb := v.r.PathValue("verb"); verb {
	case "pause", "resume", "cancel", "rollback":
		if err := v.send("POST", path+verb, form.Why{Reason: reason}, nil); err != nil {
			return err
		}
	case "rerun":
		order := form.Rerun{Reason: reason}
		if from := v.field("from"); from != "" {
			order.From = []string{from}
		}
		var next form.Run
		if err := v.send("POST", path+"rerun", order, &next); err != nil {
			return err
		}
		id = next.ID
	default:
		return &refusal{Status: 404, Detail: "Nothing of the name " + strconv.Quote(verb) + " can be done to a run."}
	}
	to := "/runs/" + escape(id)
	if v.r.Header.Get("HX-Request") != "" && id != v.r.PathValue("id") {
		v.w.Header().Set("HX-Redirect", to)
		return nil
	}
	return v.done(to)
}
