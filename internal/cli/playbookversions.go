package cli

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/playbook"
)

func (s *session) playbookVersions() *cobra.Command {
	return &cobra.Command{
		Use: "versions <playbook>", Short: "List every version of a playbook: who changed it, when and why", Args: cobra.ExactArgs(1), Example: "  homeostat playbooks versions scale-out-busy-service",
		RunE: func(c *cobra.Command, args []string) error {
			api, err := s.client()
			if err != nil {
				return err
			}
			var list form.Page[form.PlaybookVersion]
			if err := api.get(c.Context(), "/playbooks"+segment(args[0])+"/versions", nil, &list); err != nil {
				return err
			}
			return s.show(list, func(p *page) {
				rows := make([][]string, 0, len(list.Items))
				for _, v := range list.Items {
					reason := v.Reason
					if v.Withdrawn {
						reason += " (withdrawn)"
					}
					rows = append(rows, []string{strconv.Itoa(v.Number), p.age(v.At), v.Author, reason, v.File})
				}
				p.table([]string{"VERSION", "AGE", "AUTHOR", "REASON", "FILE"}, rows, 3, 4)
			})
		},
	}
}

func (s *session) playbookDiff() *cobra.Command {
	c := &cobra.Command{
		Use: "diff <playbook>", Short: "Show what changed between two versions of a playbook", Args: cobra.ExactArgs(1),
		Example: "  homeostat playbooks diff scale-out-busy-service\n  homeostat playbooks diff scale-out-busy-service --from 1 --to 3",
	}
	from := c.Flags().Int("from", 0, "number of the older version; the one before if left out")
	to := c.Flags().Int("to", 0, "number of the newer version; the newest if left out")
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		var d form.PlaybookDiff
		q := url.Values{"from": {strconv.Itoa(*from)}, "to": {strconv.Itoa(*to)}}
		if err := api.get(c.Context(), "/playbooks"+segment(args[0])+"/diff", q, &d); err != nil {
			return err
		}
		return s.show(d, func(p *page) {
			if d.Diff == "" {
				p.line("versions %d and %d read the same", d.From, d.To)
				return
			}
			p.line("%s", strings.TrimSuffix(d.Diff, "\n"))
		})
	}
	return c
}

func (s *session) playbookRollback() *cobra.Command {
	c := &cobra.Command{
		Use: "rollback <playbook>", Short: "Make an earlier version of a playbook the newest again", Args: cobra.ExactArgs(1),
		Long:    "In force at once, also after a restart, until somebody changes the playbook or its file.",
		Example: "  homeostat playbooks rollback scale-out-busy-service --to 2 --reason \"version 3 waits too long\"",
	}
	var in form.PlaybookRollback
	c.Flags().IntVar(&in.To, "to", 0, "number of the version; required")
	c.Flags().StringVar(&in.Reason, "reason", "", "why, kept with the version; required")
	must(c.MarkFlagRequired("to"))
	must(c.MarkFlagRequired("reason"))
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		var v form.PlaybookVersion
		if err := api.post(c.Context(), "/playbooks"+segment(args[0])+"/rollback", in, &v); err != nil {
			return err
		}
		return s.show(v, func(p *page) { p.line("%s reads as version %d again; that is version %d", args[0], in.To, v.Number) })
	}
	return c
}

func (s *session) playbookPut() *cobra.Command {
	c := &cobra.Command{
		Use: "put <file>", Short: "Make a file the newest version of its playbook", Args: cobra.ExactArgs(1),
		Long:    "In force at once, also after a restart, until somebody changes the playbook or its file on the server.",
		Example: "  homeostat playbooks put drain.yaml --reason \"wait longer\"",
	}
	var in form.PlaybookChange
	c.Flags().StringVar(&in.Reason, "reason", "", "why, kept with the version; required")
	must(c.MarkFlagRequired("reason"))
	c.RunE = func(c *cobra.Command, args []string) error {
		source, err := s.readFile(args[0])
		if err != nil {
			return err
		}
		b, problems := playbook.Parse(args[0], source)
		if len(problems) > 0 {
			return wrong("%v", problems)
		}
		api, err := s.client()
		if err != nil {
			return err
		}
		in.Source = string(source)
		var v form.PlaybookVersion
		if err := api.put(c.Context(), "/playbooks"+segment(b.ID), in, &v); err != nil {
			return err
		}
		return s.show(v, func(p *page) { p.line("%s is in force as version %d", b.ID, v.Number) })
	}
	return c
}
