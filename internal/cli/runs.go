package cli

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
)

const someRun = "0198b7a4-6f00-7000-8000-00000000e001"

func (s *session) runs() *cobra.Command {
	return group("runs", "Playbooks being carried out", "  homeostat runs list\n  homeostat runs show "+someRun,
		s.runList(), s.runShow(),
		s.runVerb("pause", "Hold a run: what is in flight ends, nothing new starts", "paused"),
		s.runVerb("resume", "Let a paused run go on", "resumed"),
		s.runVerb("cancel", "End a run once what is in flight has ended", "cancelled"),
		s.runVerb("rollback", "Undo what a run completed, in reverse order", "rollback asked for"),
		s.runRerun())
}

func (s *session) runList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List runs, the newest first", Args: cobra.NoArgs,
		Example: "  homeostat runs list --going\n  homeostat runs list --playbook restart-crashed-service -o yaml",
	}
	var filter picks = map[string]*string{}
	filter.flag(c, "state", "state of the run, as in running or succeeded",
		"pending", "waiting_approval", "running", "paused", "succeeded", "failed", "timed_out", "cancelled")
	filter.flag(c, "incident", "id of the case")
	filter.flag(c, "playbook", "id of the playbook")
	filter.flag(c, "target", "entity, as in service/cart")
	going := c.Flags().Bool("going", false, "only runs that have not ended")
	limit := limitFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		q := filter.query()
		if *going {
			q.Set("ended", strconv.FormatBool(false))
		}
		list, err := all[form.RunSummary](c.Context(), api, "/runs", q, *limit)
		if err != nil {
			return err
		}
		return s.show(list, func(p *page) {
			rows := make([][]string, 0, len(list.Items))
			for _, r := range list.Items {
				state := r.State
				if r.DryRun {
					state = "dry run"
				}
				rows = append(rows, []string{r.ID, state, p.age(r.CreatedAt), r.Playbook, r.Target, r.Reason})
			}
			p.table([]string{"ID", "STATE", "AGE", "PLAYBOOK", "TARGET", "REASON"}, rows, 5, 4, 3)
			p.more(list.Cursor)
		})
	}
	return c
}

func (s *session) runShow() *cobra.Command {
	return &cobra.Command{
		Use: "show <run>", Short: "Show a run: its tasks, what waits, what guards refused, its journal", Args: cobra.ExactArgs(1),
		Example: "  homeostat runs show " + someRun, ValidArgsFunction: s.completeRuns,
		RunE: func(c *cobra.Command, args []string) error {
			api, err := s.client()
			if err != nil {
				return err
			}
			var told ranRun
			base := "/runs" + segment(args[0])
			if err := api.get(c.Context(), base, nil, &told.Run); err != nil {
				return err
			}
			var refused form.Page[form.Refusal]
			if err := api.get(c.Context(), base+"/refusals", nil, &refused); err != nil {
				return err
			}
			told.Refusals = refused.Items
			if told.Journal, err = journalOf(c, api, base); err != nil {
				return err
			}
			return s.show(told, told.tell)
		},
	}
}

func journalOf(c *cobra.Command, api *client, base string) ([]form.JournalEntry, error) {
	out := []form.JournalEntry{}
	q := url.Values{}
	for {
		var page form.Page[form.JournalEntry]
		if err := api.get(c.Context(), base+"/journal", q, &page); err != nil {
			return nil, err
		}
		out = append(out, page.Items...)
		if page.Cursor == "" {
			return out, nil
		}
		q.Set("cursor", page.Cursor)
	}
}

// ranRun is a run with what is kept beside it.
type ranRun struct {
	form.Run
	Refusals []form.Refusal      `json:"refusals"`
	Journal  []form.JournalEntry `json:"journal"`
}

func (r *ranRun) tell(p *page) {
	tellRun(p, &r.Run)
	if len(r.Refusals) > 0 {
		p.title("Refused by a guard")
		for _, f := range r.Refusals {
			p.wrapped("  "+p.clock(f.At)+" ", fmt.Sprintf("%s (%s): %s", f.Task, f.Rule, f.Reason.Text))
		}
	}
	p.title("Journal")
	for _, e := range r.Journal {
		p.wrapped(fmt.Sprintf("  %s %-9s ", p.clock(e.At), e.Phase), e.Action+suffix(" on ", e.Target)+suffix(" ", e.Text)+suffix(" by ", e.By)+suffix(" (", e.Step)+closing(e.Step))
	}
}

// tellRun writes a run and its tasks.
func tellRun(p *page, r *form.Run) {
	p.out.WriteString(p.paint(bold, oneLine(r.Playbook+" on "+r.Target)) + "\n")
	p.field("id", r.ID)
	state := r.State
	if r.DryRun {
		state = "dry run, nothing was touched"
	}
	p.field("state", state+suffix(", ", r.Reason)+suffix("; ending as ", r.Ending))
	p.field("rollback", r.Rollback)
	p.field("goes on with", r.RerunOf)
	p.field("gone on with", r.RerunBy)
	p.field("case", r.Incident)
	p.field("asked by", r.RequestedBy+", "+p.ago(r.CreatedAt))
	p.title("Tasks")
	rows := make([][]string, 0, len(r.Tasks))
	for i := range r.Tasks {
		t := &r.Tasks[i]
		undo := ""
		if t.Undo != nil {
			undo = t.Undo.State
		}
		rows = append(rows, []string{t.ID, t.Action, t.State, strconv.Itoa(t.Attempt), undo, said(r, t)})
	}
	p.table([]string{"TASK", "ACTION", "STATE", "TRY", "UNDO", "WHAT"}, rows, 5, 0, 1)
	if r.DryRun {
		for i := range r.Tasks {
			p.preview(&r.Tasks[i])
		}
	}
	for _, w := range r.Waits {
		p.waits(w)
	}
}

// preview writes all that a dry run says of one task.
func (p *page) preview(t *form.Task) {
	if t.Item != nil {
		p.title(t.ID + ", for " + entry(t.Item))
	} else {
		p.title(t.ID)
	}
	for line := range strings.Lines(t.Preview) {
		p.line("  %s", strings.TrimSuffix(line, "\n"))
	}
	for _, g := range t.Guards {
		answer := "yes"
		if !g.Allows {
			answer = "no "
		}
		p.wrapped("  guard "+g.Rule+": "+answer+" ", g.Reason.Text)
	}
}

// said is the most telling text of a task; that of a part of a loop begins with
// its entry.
func said(r *form.Run, t *form.Task) string {
	text := telling(t)
	switch {
	case t.Group != "" && text == t.Name && !r.DryRun:
		return strings.TrimSpace(progress(r, t) + " " + text)
	case t.Item == nil:
		return text
	case text == t.Name:
		return entry(t.Item)
	}
	return entry(t.Item) + ": " + text
}

// progress is how many of the parts of a group have ended well.
func progress(r *form.Run, group *form.Task) string {
	good, all := 0, 0
	for i := range r.Tasks {
		if t := &r.Tasks[i]; t.Of == group.ID {
			all++
			if t.State == "succeeded" {
				good++
			}
		}
	}
	if all == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d done", good, all)
}

// entry shows the entry of a loop: a text as it is, anything else as JSON.
func entry(item any) string {
	if text, ok := item.(string); ok {
		return text
	}
	data, err := json.Marshal(item)
	if err != nil {
		return fmt.Sprint(item)
	}
	return string(data)
}

// telling is the most telling text of a task itself.
func telling(t *form.Task) string {
	switch {
	case t.Error != "":
		return t.Error
	case t.Kept:
		return "kept from the run before"
	case t.Refusal != nil:
		return t.Refusal.Text
	case t.Preview != "":
		first, _, _ := strings.Cut(t.Preview, "\n")
		return first
	}
	return t.Name
}

func (s *session) runVerb(verb, short, saying string) *cobra.Command {
	c := &cobra.Command{
		Use: verb + " <run>", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: s.completeRuns,
		Example: "  homeostat runs " + verb + " " + someRun + ` --reason "maintenance"`,
	}
	reason := c.Flags().String("reason", "", "why, for the record")
	c.RunE = func(c *cobra.Command, args []string) error {
		return s.changeRun(c, "/runs"+segment(args[0])+"/"+verb, form.Why{Reason: *reason}, saying)
	}
	return c
}

func (s *session) runRerun() *cobra.Command {
	c := &cobra.Command{
		Use: "rerun <run>", Short: "Go on with an ended run where it broke", Args: cobra.ExactArgs(1),
		Long: "Makes a new run of the same playbook, as it was then. What the old run completed is kept;\n" +
			"the tasks begun at, what depends on them and what was not completed are done.",
		Example: "  homeostat runs rerun " + someRun + "\n  homeostat runs rerun " + someRun + " --from restart",
	}
	var in form.Rerun
	c.Flags().StringSliceVar(&in.From, "from", nil, "task to begin at; those that failed if left out")
	c.Flags().StringVar(&in.Reason, "reason", "", "why, for the record")
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		var run form.Run
		if err := api.post(c.Context(), "/runs"+segment(args[0])+"/rerun", in, &run); err != nil {
			return err
		}
		return s.show(run, func(p *page) {
			tellRun(p, &run)
			p.line("\nFollow it with: homeostat runs show %s", run.ID)
		})
	}
	return c
}

func (s *session) changeRun(c *cobra.Command, path string, in any, saying string) error {
	api, err := s.client()
	if err != nil {
		return err
	}
	var out form.Run
	if err := api.post(c.Context(), path, in, &out); err != nil {
		return err
	}
	return s.show(out, func(p *page) {
		p.line("%s: run %s, %s on %s, is %s%s", saying, out.ID, out.Playbook, out.Target, out.State, suffix(", ", out.Reason))
	})
}

// completeRuns offers runs that have not ended, if the server can be asked.
func (s *session) completeRuns(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s.fromEnvironment(c) // the shell asks before any command runs
	api, err := s.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := all[form.RunSummary](c.Context(), api, "/runs", url.Values{"ended": {"false"}}, 50)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, r := range list.Items {
		out = append(out, r.ID+"\t"+oneLine(r.Playbook+" on "+r.Target))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
