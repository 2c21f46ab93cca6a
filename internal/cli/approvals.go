package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
)

func (s *session) approvals() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List what waits for a person", Args: cobra.NoArgs, Example: "  homeostat approvals list",
	}
	limit := limitFlag(list)
	list.RunE = func(c *cobra.Command, _ []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		// Pages are pages of runs; most wait for nobody.
		found, err := all[form.Waiting](c.Context(), api, "/approvals", nil, 0)
		if err != nil {
			return err
		}
		rest := ""
		if *limit > 0 && len(found.Items) > *limit {
			found.Items, rest = found.Items[:*limit], "more"
		}
		return s.show(found, func(p *page) {
			if len(found.Items) == 0 {
				p.line("nothing waits for a person")
				return
			}
			for _, w := range found.Items {
				p.waits(w)
			}
			p.more(rest)
		})
	}
	return group("approvals", "What waits for a person", "  homeostat approvals list", list)
}

// waits writes a question and how it is answered.
func (p *page) waits(w form.Waiting) {
	p.out.WriteByte('\n')
	p.wrapped("", w.Question)
	asked := w.Owner
	if w.Quorum > 1 {
		asked = fmt.Sprintf("%d of %s (yes so far: %s)", w.Quorum, w.Owner, cmp.Or(strings.Join(w.Approved, ", "), "nobody"))
	}
	p.field("  asked", asked+", "+p.ago(w.AskedAt)+"; silence means no, from "+p.clock(w.Deadline)+" UTC ("+p.ago(w.Deadline)+")")
	p.field("  about", w.Playbook+" on "+w.Target+suffix(", task ", w.Task)+suffix(", case ", w.Incident))
	task := suffix(" --task ", w.Task)
	if w.Kind == form.WaitSettle {
		p.line("  answer:     homeostat settle %s%s --as happened|retry|give_up", w.Run, task)
		return
	}
	p.line("  answer:     homeostat approve %s%s", w.Run, task)
	p.line("              homeostat deny %s%s", w.Run, task)
}

func (s *session) approve(verb string) *cobra.Command {
	short := map[string]string{"approve": "Say yes to what waits", "deny": "Say no to what waits"}[verb]
	saying := map[string]string{"approve": "approved", "deny": "denied"}[verb]
	c := &cobra.Command{
		Use: verb + " <run or incident>", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: s.completeRuns,
		Long:    short + ". With the id of a case, the run of it that waits is meant.",
		Example: "  homeostat " + verb + " " + someRun + ` --note "looks right"`,
	}
	task := c.Flags().String("task", "", "which task's question; may be left out if only one waits")
	note := c.Flags().String("note", "", "for the record")
	c.RunE = func(c *cobra.Command, args []string) error {
		return s.changeRun(c, "/approvals"+segment(args[0])+"/"+verb, form.Answer{Task: *task, Note: *note}, saying)
	}
	return c
}

func (s *session) settle() *cobra.Command {
	c := &cobra.Command{
		Use: "settle <run>", Short: "Say what became of a task nobody is sure of", Args: cobra.ExactArgs(1), ValidArgsFunction: s.completeRuns,
		Long: "After a crash or a broken connection it can be unknown whether a task took effect, and\n" +
			"it must not be tried twice. Look at the target, then say: happened (go on), retry (it did\n" +
			"not happen) or give_up (treat it as failed).",
		Example: "  homeostat settle " + someRun + " --task restart --as happened",
	}
	var in form.Settlement
	c.Flags().StringVar(&in.Task, "task", "", "the task; required")
	c.Flags().StringVar(&in.As, "as", "", "happened, retry or give_up; required")
	c.Flags().StringVar(&in.Note, "note", "", "for the record")
	must(c.MarkFlagRequired("task"))
	must(c.MarkFlagRequired("as"))
	must(c.RegisterFlagCompletionFunc("as", cobra.FixedCompletions([]string{"happened", "retry", "give_up"}, cobra.ShellCompDirectiveNoFileComp)))
	c.RunE = func(c *cobra.Command, args []string) error {
		return s.changeRun(c, "/runs"+segment(args[0])+"/settle", in, "settled")
	}
	return c
}
